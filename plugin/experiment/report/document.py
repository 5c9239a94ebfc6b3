"""The report before it is a page: sections of paragraphs, tables and figures. Text may hold `code` and **bold**."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Tone = Literal["", "good", "bad", "muted", "words"]  # words: a sentence, no number


@dataclass(frozen=True, slots=True)
class Cell:
    """`under` is the smaller line: an interval, a p-value."""

    text: str
    under: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The first column says what a row is of; the others are numbers. A row of one cell is a heading within it.

    A table with a `summary` is folded away behind it where the reader can unfold it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """`name` is that of its file, `alt` what it shows in words."""

    name: str
    svg: str
    alt: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Small multiples: as many beside each other as there is room."""

    items: Sequence[Figure]
    caption: str = ""


Part = str | Table | Figures


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the verdict."""

    label: str
    number: str
    under: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence` is the answer, `details` what to know beside it."""

    sentence: str
    details: Sequence[str]
    tiles: Sequence[Tile] = field(default_factory=tuple)
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    subtitle: str
    verdict: Verdict
    sections: Sequence[Section]

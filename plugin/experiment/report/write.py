"""From an experiment's folder to its report, in the same folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from plugin.experiment.analysis import Analysis, analyse, read_results
from plugin.experiment.report import (
    sections_budgets,
    sections_method,
    sections_places,
    sections_primary,
    sections_questions,
    sections_satellites,
)
from plugin.experiment.report.charts import standalone
from plugin.experiment.report.document import Document, Figure, Figures
from plugin.experiment.report.markdown import FIGURES, markdown
from plugin.experiment.report.page import html
from plugin.experiment.report.parts import Painter
from plugin.experiment.report.plain import numbers
from plugin.experiment.report.verdict import verdict


@dataclass(frozen=True, slots=True)
class Written:
    """Where the report is, and its answer."""

    page: Path
    markdown: Path
    numbers: Path
    figures: tuple[Path, ...]
    sentence: str


def write_report(directory: Path) -> Written:
    """Analyse what is in the folder, finished or not, and write report.html, report.md, report.json and figures/.

    The same results give the same bytes. What an earlier report left in figures/ and is not drawn any more goes.

    Raises:
        NoResultsError: there is no trial to report.
        NoDrawingError: what draws figures is not installed.
    """
    analysis = analyse(read_results(directory))
    document = build(analysis)
    drawn = [figure for section in document.sections for part in section.parts if isinstance(part, Figures)
             for figure in part.items]  # fmt: skip
    return Written(
        page=_write(directory / "report.html", html(document)),
        markdown=_write(directory / "report.md", markdown(document)),
        numbers=_write(
            directory / "report.json",
            json.dumps(numbers(analysis, document.verdict), ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        ),
        figures=tuple(_draw(directory / FIGURES, drawn)),
        sentence=document.verdict.sentence.replace("**", ""),
    )


def build(analysis: Analysis) -> Document:
    """The report before it is a page; a section that has nothing to say is left out."""
    painter = Painter(analysis)
    sections = [
        sections_primary.primary(analysis, painter),
        sections_budgets.settings(analysis, painter),
        sections_budgets.curves(analysis, painter),
        sections_budgets.saved(analysis, painter),
        sections_questions.paper(analysis),
        sections_questions.duel(analysis, painter),
        sections_questions.review(analysis, painter),
        sections_places.locales(analysis, painter),
        sections_places.domains(analysis, painter),
        sections_primary.metrics(analysis),
        sections_questions.selections(analysis),
        sections_questions.costs(analysis),
        *sections_satellites.satellites(analysis, painter),
        sections_satellites.transfers(analysis),
        sections_questions.corpora(analysis),
        sections_method.method(analysis),
    ]
    return Document(
        title="Does selection beat random choice?",
        subtitle="A report of `assay experiment`: errors relative to random choice of the same size. Less is better.",
        verdict=verdict(analysis),
        sections=[section for section in sections if section is not None],
    )


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _draw(directory: Path, figures: list[Figure]) -> list[Path]:
    directory.mkdir(exist_ok=True)
    paths = [directory / f"{figure.name}.svg" for figure in figures]
    for stale in set(directory.glob("*.svg")) - set(paths):
        stale.unlink()
    return [_write(path, standalone(figure.svg) + "\n") for path, figure in zip(paths, figures, strict=True)]

"""The corpora of an experiment: which files hold which locale."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from plugin.corpora.facebook import is_facebook
from plugin.corpora.folder import file_sha256
from plugin.corpora.readers import is_corpus_name, read_corpus
from plugin.formats.record import LabelledUtterance

_BLOCK = 2**20


class SourceError(ValueError):
    """A corpus cannot be used: which, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """One locale of a corpus: `utterances` usable rows in the file at `path`, or there and in `more` files.

    `sha256` is the file's own, or that of the digests of all files, each on a line; `content_sha256` the same of what
    a compressed file holds, which is the same corpus however it was compressed.
    """

    corpus: str
    locale: str
    path: Path
    sha256: str
    content_sha256: str
    utterances: int
    more: tuple[Path, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        return self.corpus, self.locale

    def read(self) -> list[LabelledUtterance]:
        return [row for path in (self.path, *self.more) for row in _rows(path) if row.locale == self.locale]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one file has of one locale."""

    path: Path
    locale: str
    utterances: int
    partitions: frozenset[str | None]


@lru_cache(maxsize=4)
def _rows(path: Path) -> list[LabelledUtterance]:
    return read_corpus(path).utterances


def find(given: Iterable[str], locales: Sequence[str] | None = None) -> list[Source]:
    """Every locale of the corpora given, as `PATH` or `NAME=PATH`, a file or a folder of files.

    A corpus without a name has that of its file, or of the folder where the file is named after its locale or is one
    of several parts. A folder without such files may have them in folders of its own, one for each locale. Of a
    folder, files that are named after another locale than the ones asked for are not opened.

    Raises:
        SourceError: no file, a locale that is nowhere, or two files with the same partition of a corpus and locale.
        UnreadableFileError: a file that cannot be read.
    """
    parts: dict[tuple[str, str], list[_Part]] = {}
    for word in given:
        name, path = _split(word)
        for file in _files(path, locales):
            for part in _parts(file, locales):
                place = name or _name(file, path, part.locale), part.locale
                _add(part, parts.setdefault(place, []), place)
    missing = sorted(set(locales or ()) - {locale for _, locale in parts})
    if missing:
        raise SourceError(f"no corpus has the locale {', '.join(missing)}")
    if not parts:
        raise SourceError("no corpus has a labelled utterance that can be used")
    ranks = {locale: rank for rank, locale in enumerate(locales or ())}
    return [_source(place, parts[place]) for place in sorted(parts, key=lambda place: (ranks.get(place[1], 0), place))]


def _split(word: str) -> tuple[str | None, Path]:
    name, sign, path = word.partition("=")
    return (name, Path(path)) if sign and name and "/" not in name else (None, Path(word))


def _files(path: Path, locales: Sequence[str] | None) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"{path}: there is no such file or folder")
    children = sorted(path.iterdir())
    if files := [child for child in children if child.is_file() and is_corpus_name(child.name)]:
        return _wanted(files, locales)
    folders = _wanted([child for child in children if child.is_dir()], locales)
    return [file for folder in folders for file in sorted(folder.iterdir()) if is_corpus_name(file.name)]


def _wanted(children: list[Path], locales: Sequence[str] | None) -> list[Path]:
    return [child for child in children if _stem(child) in (locales or ())] or children


def _parts(file: Path, locales: Sequence[str] | None) -> list[_Part]:
    rows: dict[str, list[LabelledUtterance]] = {}
    for row in _rows(file):
        rows.setdefault(row.locale, []).append(row)
    return [
        _Part(file, locale, len(own), frozenset(row.partition for row in own))
        for locale, own in sorted(rows.items())
        if not locales or locale in locales
    ]


def _name(file: Path, given: Path, locale: str) -> str:
    if is_facebook(file):
        return (given if given.is_dir() else file.parent).resolve().name
    return _stem(file) if _stem(file) != locale else file.resolve().parent.name


def _add(part: _Part, others: list[_Part], place: tuple[str, str]) -> None:
    """Files of one locale are one corpus where each has partitions of its own."""
    for other in others:
        if None in part.partitions | other.partitions or part.partitions & other.partitions:
            raise SourceError(f"{part.path} and {other.path} both hold {'/'.join(place)}")
    others.append(part)


def _source(place: tuple[str, str], parts: list[_Part]) -> Source:
    digest, content = (_joined([of(part.path) for part in parts]) for of in (file_sha256, _content_sha256))
    first, *more = (part.path for part in parts)
    return Source(*place, first, digest, content, sum(part.utterances for part in parts), tuple(more))


def _joined(digests: list[str]) -> str:
    return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()


def _content_sha256(path: Path) -> str:
    if path.suffix != ".gz":
        return file_sha256(path)
    found = sha256()
    with gzip.open(path) as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _stem(file: Path) -> str:
    return file.name.partition(".")[0]

"""The corpora of an experiment: which file holds which locale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from plugin.corpora.folder import file_sha256
from plugin.corpora.readers import read_corpus
from plugin.formats.record import LabelledUtterance

_SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".csv", ".csv.gz", ".parquet")


class SourceError(ValueError):
    """A corpus cannot be used: which, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """One locale of a corpus: `utterances` usable rows in the file at `path`."""

    corpus: str
    locale: str
    path: Path
    sha256: str
    utterances: int

    @property
    def place(self) -> tuple[str, str]:
        return self.corpus, self.locale

    def read(self) -> list[LabelledUtterance]:
        return [row for row in _rows(self.path) if row.locale == self.locale]


@lru_cache(maxsize=2)
def _rows(path: Path) -> list[LabelledUtterance]:
    return read_corpus(path).utterances


def find(given: Iterable[str], locales: Sequence[str] | None = None) -> list[Source]:
    """Every locale of the corpora given, as `PATH` or `NAME=PATH`, a file or a folder of files.

    A corpus without a name has that of its file, or of the folder where the file is named after its locale.
    Of a folder, files that are named after another locale than the ones asked for are not opened.

    Raises:
        SourceError: no file, a locale that is nowhere, or two files with the same corpus and locale.
        UnreadableFileError: a file that cannot be read.
    """
    sources: dict[tuple[str, str], Source] = {}
    for word in given:
        name, path = _split(word)
        for file in _files(path, locales):
            for source in _sources(file, name, locales):
                if source.place in sources:
                    raise SourceError(f"{file} and {sources[source.place].path} both hold {'/'.join(source.place)}")
                sources[source.place] = source
    missing = sorted(set(locales or ()) - {locale for _, locale in sources})
    if missing:
        raise SourceError(f"no corpus has the locale {', '.join(missing)}")
    if not sources:
        raise SourceError("no corpus has a labelled utterance that can be used")
    ranks = {locale: rank for rank, locale in enumerate(locales or ())}
    return sorted(sources.values(), key=lambda source: (ranks.get(source.locale, 0), source.place))


def _split(word: str) -> tuple[str | None, Path]:
    name, sign, path = word.partition("=")
    return (name, Path(path)) if sign and name and "/" not in name else (None, Path(word))


def _files(path: Path, locales: Sequence[str] | None) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"{path}: there is no such file or folder")
    files = sorted(child for child in path.iterdir() if child.name.endswith(_SUFFIXES))
    named = [file for file in files if _stem(file) in (locales or ())]
    return named or files


def _sources(file: Path, name: str | None, locales: Sequence[str] | None) -> list[Source]:
    rows = _rows(file)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.locale] = counts.get(row.locale, 0) + 1
    stem = _stem(file)
    corpus = name or (stem if stem not in counts else file.resolve().parent.name)
    digest = file_sha256(file)
    return [
        Source(corpus, locale, file, digest, count)
        for locale, count in sorted(counts.items())
        if not locales or locale in locales
    ]


def _stem(file: Path) -> str:
    return file.name.partition(".")[0]

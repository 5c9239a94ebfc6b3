"""What is fed to the benchmarks: the demo corpus as a production log, and databases that live as long as a run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import orjson
from sqlalchemy import Engine

from db.migrate import upgrade
from db.session import TransactionMaker, make_engine
from plugin.corpora.demo import demo_corpus
from plugin.formats.files import open_records
from plugin.formats.record import LabelledUtterance, parse_utterance, to_json
from plugin.quality.selection import near_duplicates
from plugin.records import Utterance
from plugin.services import ingest
from plugin.settings import Settings
from tests.benchmarks.compare import Say
from tests.servers import PostgresServer

LOCALE = "en"
SOURCE = "benchmark"
# More would take minutes to draw; beyond, texts come again with a number.
DISTINCT_TEXTS = 20_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a benchmark is prepared. `template` names a migrated, empty database."""

    server: PostgresServer
    template: str
    folder: Path
    settings: Settings
    size: int
    say: Say


@cache
def corpus(size: int, seed: int = 0) -> Sequence[LabelledUtterance]:
    return demo_corpus(LOCALE, min(size, DISTINCT_TEXTS), seed=seed)


def records(examples: Sequence[LabelledUtterance], size: int, locale: str = LOCALE) -> Iterator[Utterance]:
    """A log of `size` records: the examples in turn, their labels as hypotheses, with scores and times.

    A text that was there already, or nearly, ends in two words of its own: a round asks about no text twice.
    """
    random_ = random.Random(0)
    near = near_duplicates([example.text for example in examples]).tolist()
    every = itertools.cycle(zip(examples, near, strict=True))
    for number, (example, is_near) in zip(range(size), every, strict=False):
        is_new = number < len(examples) and not is_near
        yield Utterance(
            id=f"{example.id}-{number}",
            locale=locale,
            text=example.text if is_new else f"{example.text} {number} n{number}",
            hypothesis=example.label,
            nlu_score=round(random_.random(), 6),
            occurred_at=BEGIN + timedelta(seconds=number),
        )


def write_log(path: Path, utterances: Iterable[Utterance]) -> Path:
    with path.open("wb") as file:
        file.writelines(orjson.dumps(to_json(utterance)) + b"\n" for utterance in utterances)
    return path


def take_log(transaction: TransactionMaker, path: Path, source: str = SOURCE) -> list[int]:
    """`assay ingest utterances` without its progress bar; the new ids."""
    ids: list[int] = []
    with open_records(path, parse_utterance) as reader:
        for chunk in ingest.ingest_utterances(transaction, reader, source):
            assert not chunk.rejects, chunk.rejects[0].error
            ids += chunk.ids
    return ids


def migrated(server: PostgresServer, name: str) -> str:
    """A template: whoever copies it must not be connected to it."""
    upgrade(server.create(name))
    return name


@contextmanager
def database(server: PostgresServer, template: str) -> Iterator[Engine]:
    """A copy of a template, with a connection open and ready."""
    name = f"benchmark_{next(_numbers)}"
    engine = make_engine(server.create(name, template))
    try:
        with engine.connect():
            pass
        yield engine
    finally:
        engine.dispose()
        server.drop(name)

"""What a run trains and tests on, as it was when the run began: kept as ids, revisions and labels.

Whatever is reviewed, ingested or mended later, the run goes on with this, and so does its replay.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

from db.repositories import examples
from db.repositories.examples import Labelled
from plugin.services.evaluation.errors import EvaluationError

FORMAT = 1

Key = tuple[int, int | None]


@dataclass(frozen=True)
class TestRows:
    """A frozen test set. `weights` say how often the log has each text, at least once."""

    __test__ = False  # not a class of pytest's

    test_set_id: int
    rows: Sequence[Labelled]
    weights: Sequence[int]


@dataclass(frozen=True)
class Frame:
    """`control` and `strategies` hold the reviews by the part of the rounds that asked for them; `everything` is what
    the candidate learns beside gold. Of `tests`, the first is the run's own.
    """

    train: Sequence[Labelled]
    dev: Sequence[Labelled]
    everything: Sequence[Labelled]
    control: Mapping[str, Sequence[Labelled]]
    strategies: Mapping[str, Mapping[str, Sequence[Labelled]]]
    tests: Mapping[str, TestRows]

    @cached_property
    def questions(self) -> list[Labelled]:
        """Every test utterance once, in the order in which predictions are kept."""
        return list({key(row): row for test in self.tests.values() for row in test.rows}.values())

    def places(self, name: str) -> list[int]:
        """Where the utterances of a test set are among the questions."""
        at = {key(row): place for place, row in enumerate(self.questions)}
        return [at[key(row)] for row in self.tests[name].rows]


def key(row: Labelled) -> Key:
    return row.utterance_id, row.annotation_id


def pack(frame: Frame) -> tuple[str, bytes]:
    """SHA-256 and compressed content."""
    numbers: dict[Key, int] = {}
    rows: list[list[Any]] = []

    def numbered(part: Iterable[Labelled]) -> list[int]:
        found = []
        for row in part:
            if key(row) not in numbers:
                numbers[key(row)] = len(rows)
                rows.append([row.utterance_id, row.revision, row.annotation_id, row.domain, row.intent, row.slots])
            found.append(numbers[key(row)])
        return found

    content = {
        "format": FORMAT,
        "train": numbered(frame.train),
        "dev": numbered(frame.dev),
        "everything": numbered(frame.everything),
        "control": {part: numbered(found) for part, found in frame.control.items()},
        "strategies": {
            name: {part: numbered(found) for part, found in parts.items()} for name, parts in frame.strategies.items()
        },
        "tests": [
            [name, test.test_set_id, numbered(test.rows), list(test.weights)] for name, test in frame.tests.items()
        ],
        "rows": rows,
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest(), zlib.compress(text)


def unpack(session: Session, content: bytes) -> Frame:
    """Raises EvaluationError when utterances are gone."""
    found = json.loads(zlib.decompress(content))
    ids, revisions = [row[0] for row in found["rows"]], [row[1] for row in found["rows"]]
    texts = examples.texts_as_they_were(session, ids, revisions)
    gone = {utterance_id for utterance_id, revision in zip(ids, revisions, strict=True)} - {at for at, _ in texts}
    if gone:
        raise EvaluationError(
            f"{len(gone)} utterances that the run was frozen with are gone, among them id {min(gone)}: start a new run"
        )
    rows = [
        Labelled(utterance_id, annotation_id, *texts[utterance_id, revision], domain, intent, slots, revision)
        for utterance_id, revision, annotation_id, domain, intent, slots in found["rows"]
    ]

    def named(numbers: Iterable[int]) -> list[Labelled]:
        return [rows[number] for number in numbers]

    return Frame(
        named(found["train"]),
        named(found["dev"]),
        named(found["everything"]),
        {part: named(numbers) for part, numbers in found["control"].items()},
        {name: {part: named(n) for part, n in parts.items()} for name, parts in found["strategies"].items()},
        {name: TestRows(set_id, named(numbers), weights) for name, set_id, numbers, weights in found["tests"]},
    )

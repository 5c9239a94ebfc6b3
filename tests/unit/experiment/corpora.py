"""Two parallel corpora, small enough to learn in a second, and a laboratory for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from plugin.corpora.folder import write_json_lines
from plugin.experiment.grid import WorldKey
from plugin.experiment.laboratory import Laboratory
from plugin.experiment.setup import Setup
from plugin.experiment.sources import find
from plugin.experiment.world import World
from plugin.formats.record import LabelledUtterance, gold_to_json
from plugin.records import Hypothesis, Slot
from tests.unit.model.corpus import separable

LOCALES = ("aa-AA", "bb-BB")
CORPUS = "tiny"
KEY = WorldKey(CORPUS, LOCALES[0], 0)
SETUP = Setup(
    trusted=30, dev=10, test=40, extra=12, seed_replicates=2, seed_epochs=5, epochs=1, batch_size=8, device="cpu"
)


def utterances(locale: str, *, partitioned: bool = True) -> list[LabelledUtterance]:
    """210 utterances; in the second locale one word stands before each, and the order of the file is another."""
    shift = "oh " if locale == LOCALES[1] else ""
    rows = []
    for number, example in enumerate(separable(0)):
        slots = tuple(Slot(slot.start + len(shift), slot.end + len(shift), slot.label) for slot in example.label.slots)
        label = Hypothesis(example.label.domain, example.label.intent, slots)
        partition = ("test" if number % 5 == 0 else "dev" if number % 10 == 1 else "train") if partitioned else None
        rows.append(LabelledUtterance(f"{locale}/{number}", locale, shift + example.text, label, partition))
    return rows if locale == LOCALES[0] else rows[::-1]


def write_corpora(folder: Path, locales: Sequence[str] = LOCALES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for locale in locales:
        write_json_lines(folder / f"{locale}.jsonl", map(gold_to_json, utterances(locale)))
    return folder


def laboratory(folder: Path, **setup: object) -> Laboratory:
    sources = find([f"{CORPUS}={write_corpora(folder)}"])
    return Laboratory(replace(SETUP, **setup), {source.place: source for source in sources})  # type: ignore[arg-type]


class Killed(Laboratory):
    """Its process dies as if for want of memory."""

    def world(self, key: WorldKey) -> World:
        os._exit(3)

"""The examples of each arm, and the guard between training and test."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.models.utterances import POOL
from db.repositories import examples, selections, strata
from db.repositories.examples import Asked, Labelled
from plugin.records import Arm, Hypothesis, Policy, Slot, TrainingExample
from plugin.services import noise, selection
from plugin.services.evaluation.errors import EvaluationError
from plugin.services.policies import ANY

TRAIN, DEV = "train", "dev"
MADE_FROM = (POOL, TRAIN, DEV)
# The rolling test set: of the control labels that never train, the newest.
RECENT = "recent"
RECENT_SIZE = 2000
IDS_SHOWN = 5

WeakDomains = Mapping[str, bool]  # domain, or * for the others -> whether its weak labels train


@dataclass(frozen=True)
class Material:
    """What stays the same in every arm of a run: gold train and dev, and the test sets of the locale.

    tests    the partitions of gold data that are test sets, and `recent`
    spared   utterances of the control arm that are kept for `recent`, and never train
    asked    utterance -> the round that asked for its review
    dropped  examples left out because a test set, or for train also dev, has their text
    """

    train: Sequence[Labelled]
    dev: Sequence[Labelled]
    tests: Mapping[str, Sequence[Labelled]]
    spared: frozenset[int]
    asked: Mapping[int, Asked]
    dropped: Sequence[Labelled]

    @property
    def held_out(self) -> list[Labelled]:
        return [row for rows in self.tests.values() for row in rows]


@dataclass(frozen=True)
class ArmData:
    """What one model is trained on; `weak`: some of it are hypotheses that nobody has reviewed."""

    examples: Sequence[TrainingExample]
    dev: Sequence[TrainingExample]
    weak: bool = False

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(repr([[*self.examples], [*self.dev]]).encode()).hexdigest()


@dataclass(frozen=True)
class Everything:
    """What the candidate learns beside gold.

    suspected  weak labels left out because they are likely wrong
    dropped    examples left out because a test set, or dev, has their text
    """

    reviewed: Sequence[Labelled]
    weak: Sequence[Labelled]
    suspected: int
    dropped: Sequence[Labelled]


def normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_hash(rows: Iterable[Labelled]) -> str:
    lines = (
        json.dumps([row.source, row.external_id, row.locale, row.text, row.domain, row.intent, row.slots])
        for row in rows
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def to_example(row: Labelled) -> TrainingExample:
    slots = tuple(sorted(Slot(int(start), int(end), str(label)) for start, end, label in row.slots))
    label = Hypothesis(row.domain, row.intent, slots)
    return TrainingExample(f"{row.source}/{row.external_id}", row.locale, row.text, label)


def check_test_set_name(name: str) -> None:
    if name in MADE_FROM:
        raise EvaluationError(f"{name!r} is no test set: models are made from it; name another partition of gold data")


def read_test_set(session: Session, name: str, locale: str) -> Sequence[Labelled]:
    """The test set as it stands. Raises EvaluationError when there is none."""
    check_test_set_name(name)
    tests = read_tests(session, locale, *read_reviews(session, locale))
    if not tests.get(name):
        raise EvaluationError(
            f"no test set {name!r} for {locale}"
            + (f" (there is {', '.join(tests)})" if tests else "")
            + f": `assay ingest annotations FILE --partition {name}` makes one"
        )
    return tests[name]


def read_reviews(session: Session, locale: str) -> tuple[list[Labelled], dict[int, Asked]]:
    return examples.reviewed(session, locale), examples.asked(session, locale, ANY)


def read_tests(
    session: Session, locale: str, reviewed: Iterable[Labelled], asked: Mapping[int, Asked]
) -> dict[str, Sequence[Labelled]]:
    """The partitions of gold data that models are not made from, and the newest of what is spared for `recent`."""
    names = [name for name in examples.partitions(session, locale) if name not in MADE_FROM]
    if RECENT in names:
        raise EvaluationError(
            f"the partition {RECENT!r} of {locale} has the name of the test set that Assay makes of control labels: "
            "ingest its data under another name"
        )
    tests: dict[str, Sequence[Labelled]] = {name: examples.gold(session, locale, name) for name in names}
    known = {row.utterance_id for rows in tests.values() for row in rows}
    spared = [row for row in reviewed if is_spared(row, asked) and row.utterance_id not in known]
    newest = sorted(spared, key=lambda row: row.annotation_id or 0)[-RECENT_SIZE:]
    if newest:
        tests[RECENT] = sorted(newest, key=lambda row: row.utterance_id)
    return tests


def is_spared(row: Labelled, asked: Mapping[int, Asked]) -> bool:
    """By a hash that never changes, half of the control arm: a uniform draw from the log that no model may learn."""
    round_ = asked.get(row.utterance_id)
    digest = hashlib.sha256(f"assay-recent-1\0{row.source}\0{row.external_id}".encode()).digest()
    return round_ is not None and Arm.CONTROL in round_.arms and digest[0] < 128


def read_material(session: Session, locale: str) -> Material:
    """Gold train and dev of the locale, and what it is tested on. Raises EvaluationError when nothing can train."""
    train, dev = (examples.gold(session, locale, partition) for partition in (TRAIN, DEV))
    if not train:
        known = ", ".join(examples.gold_locales(session)) or "no locale"
        raise EvaluationError(
            f"no gold data to train {locale} on (there is some for {known}): "
            "`assay ingest annotations FILE --partition train` brings it in"
        )
    reviewed, asked = read_reviews(session, locale)
    gold = {row.utterance_id for row in [*train, *dev]}
    reviewed = [row for row in reviewed if row.utterance_id not in gold]
    tests = read_tests(session, locale, reviewed, asked)
    held_out = [row for rows in tests.values() for row in rows]
    clean_dev, dropped_dev = without_texts_of(held_out, dev)
    # A temperature fitted on what was learned is too low.
    clean_train, dropped_train = without_texts_of([*held_out, *clean_dev], train)
    if not clean_train:
        raise EvaluationError(
            f"every text of {locale}'s partition train is in dev or a test set too: nothing is left to train on"
        )
    spared = frozenset(row.utterance_id for row in reviewed if is_spared(row, asked))
    return Material(clean_train, clean_dev, tests, spared, asked, [*dropped_train, *dropped_dev])


def baseline(material: Material) -> ArmData:
    return ArmData([to_example(row) for row in material.train], [to_example(row) for row in material.dev])


def everything(session: Session, locale: str, material: Material, weak_domains: WeakDomains) -> Everything:
    """What annotators accepted or fixed, then, where the policy says so, selected weak labels that nothing speaks
    against.
    """
    mine = {row.utterance_id for row in [*material.train, *material.dev, *material.dropped]} | material.spared
    reviewed = [row for row in examples.reviewed(session, locale) if row.utterance_id not in mine]
    check_for_leaks(reviewed, material.held_out)
    unguarded = [
        row
        for row in (examples.selected_weak(session, locale) if any(weak_domains.values()) else [])
        if weak_domains.get(row.domain, weak_domains[ANY])
    ]
    check_for_leaks(unguarded, material.held_out)
    suspects = suspected_domains(session, locale) if unguarded else {}
    weak = [row for row in unguarded if suspects.get(row.utterance_id) != row.domain]
    questions = [*material.held_out, *material.dev]
    clean_reviewed, dropped_reviewed = without_texts_of(questions, reviewed)
    clean_weak, dropped_weak = without_texts_of(questions, weak)
    suspected = len(unguarded) - len(weak)
    return Everything(clean_reviewed, clean_weak, suspected, [*dropped_reviewed, *dropped_weak])


def suspected_domains(session: Session, locale: str) -> dict[int, str]:
    """The domain of each record of the current round's frames for which it is likely wrong, says the round's model.

    Of a record that was revised since, the old domain. Nothing when retention has taken what the model said.
    """
    row = selections.current(session, locale)
    frames = (
        [selection.stored_rows(session, stratum, ()) for stratum in strata.of_round(session, row.id)] if row else []
    )
    frame = list({record.id: record for records in frames for record in records}.values())
    if row is None or not frame:
        return {}
    found = noise.label_errors(session, row.model_version_id, frame)
    return {record.id: record.domain for record, doubt in zip(frame, found.tolist(), strict=True) if doubt > 0.0}


def check_for_leaks(train: Iterable[Labelled], held_out: Iterable[Labelled]) -> None:
    test_ids = {row.utterance_id for row in held_out}
    leaked = [f"{row.source}/{row.external_id}" for row in train if row.utterance_id in test_ids]
    if leaked:
        more = f" and {len(leaked) - IDS_SHOWN} more" if len(leaked) > IDS_SHOWN else ""
        raise EvaluationError(
            f"in training and test at once: {', '.join(leaked[:IDS_SHOWN])}{more}; "
            "a test utterance must not be reviewed or trained on: take it out of the test set, or out of review"
        )


def without_texts_of(held_out: Iterable[Labelled], rows: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """The rows that may train, and the others: the same words under another id would be a question with its answer."""
    questions = {normalise(row.text) for row in held_out}
    kept: list[Labelled] = []
    dropped: list[Labelled] = []
    for row in rows:
        (dropped if normalise(row.text) in questions else kept).append(row)
    return kept, dropped


def weak_domains(policy: Mapping[str, Policy]) -> dict[str, bool]:
    """What of a resolved policy decides which weak labels train."""
    return {domain: rule.train_on_weak for domain, rule in policy.items()}

"""The examples of each arm, and the guard between training and test."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.models import TestSet
from db.models.utterances import POOL
from db.repositories import examples, selections, strata
from db.repositories.examples import Labelled
from plugin.records import Hypothesis, Policy, Slot, TrainingExample
from plugin.services import noise, selection
from plugin.services.evaluation.errors import EvaluationError
from plugin.services.policies import ANY

TRAIN, DEV = "train", "dev"
MADE_FROM = (POOL, TRAIN, DEV)
IDS_SHOWN = 5

WeakDomains = Mapping[str, bool]  # domain, or * for the others -> whether its weak labels train


@dataclass(frozen=True)
class Material:
    """What stays the same in every arm of a run: gold train and dev.

    dropped  examples left out because a test set, or for train also dev, has their text
    """

    train: Sequence[Labelled]
    dev: Sequence[Labelled]
    held_out: Sequence[Labelled]
    dropped: int

    @property
    def content_hash(self) -> str:
        return content_hash([*self.train, *self.dev])


@dataclass(frozen=True)
class ArmData:
    """What one arm is trained on, and where it came from.

    suspected  weak labels left out because they are likely wrong
    dropped    examples left out because a test set, or dev, has their text
    """

    examples: list[TrainingExample]
    dev: list[TrainingExample]
    reviewed: int = 0
    weak: int = 0
    suspected: int = 0
    dropped: int = 0


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


def read_test_set(session: Session, name: str, locale: str) -> list[Labelled]:
    """The gold data of a partition as it stands. Raises EvaluationError when there is none."""
    check_test_set_name(name)
    rows = examples.gold(session, locale, name)
    if not rows:
        known = [found for found in examples.partitions(session, locale) if found not in MADE_FROM]
        raise EvaluationError(
            f"no test set {name!r} for {locale}"
            + (f" (there is {', '.join(known)})" if known else "")
            + f": `assay ingest annotations FILE --partition {name}` makes one"
        )
    return rows


def freeze_test_set(session: Session, name: str, locale: str) -> TestSet:
    """The partition as it stands, as a frozen set: a changed partition is another set."""
    rows = read_test_set(session, name, locale)
    return examples.freeze(session, name, locale, content_hash(rows), rows)


def read_material(session: Session, locale: str) -> Material:
    """Gold train and dev of the locale. Raises EvaluationError when there is nothing to train on."""
    train, dev = (examples.gold(session, locale, partition) for partition in (TRAIN, DEV))
    if not train:
        known = ", ".join(examples.gold_locales(session)) or "no locale"
        raise EvaluationError(
            f"no gold data to train {locale} on (there is some for {known}): "
            "`assay ingest annotations FILE --partition train` brings it in"
        )
    held_out = examples.held_out(session, locale, MADE_FROM)
    clean_dev = without_texts_of(held_out, dev)
    clean_train = without_texts_of(
        [*held_out, *clean_dev], train
    )  # a temperature fitted on what was learned is too low
    if not clean_train:
        raise EvaluationError(
            f"every text of {locale}'s partition train is in dev or a test set too: nothing is left to train on"
        )
    return Material(clean_train, clean_dev, held_out, len(train) + len(dev) - len(clean_train) - len(clean_dev))


def baseline(material: Material) -> ArmData:
    return ArmData(
        [to_example(row) for row in material.train], [to_example(row) for row in material.dev], dropped=material.dropped
    )


def candidate(session: Session, locale: str, material: Material, weak_domains: WeakDomains) -> ArmData:
    """Gold, then what annotators accepted or fixed, then, where the policy says so, selected weak labels that nothing
    speaks against.
    """
    mine = {row.utterance_id for row in [*material.train, *material.dev]}
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
    asked = [*material.held_out, *material.dev]
    clean_reviewed, clean_weak = without_texts_of(asked, reviewed), without_texts_of(asked, weak)
    return ArmData(
        [to_example(row) for row in [*material.train, *clean_reviewed, *clean_weak]],
        [to_example(row) for row in material.dev],
        reviewed=len(clean_reviewed),
        weak=len(clean_weak),
        suspected=len(unguarded) - len(weak),
        dropped=material.dropped + len(reviewed) + len(weak) - len(clean_reviewed) - len(clean_weak),
    )


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


def without_texts_of(held_out: Iterable[Labelled], rows: Sequence[Labelled]) -> list[Labelled]:
    """The same words under another id would be a test question with its answer."""
    asked = {normalise(row.text) for row in held_out}
    return [row for row in rows if normalise(row.text) not in asked]


def weak_domains(policy: Mapping[str, Policy]) -> dict[str, bool]:
    """What of a resolved policy decides which weak labels train."""
    return {domain: rule.train_on_weak for domain, rule in policy.items()}

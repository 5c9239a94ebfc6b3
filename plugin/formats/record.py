"""Record format 1: what a production log or a gold file must look like. Written out in docs/record-format.md.

>>> parse_utterance({"id": "7", "locale": "sw-KE", "text": "washa taa", "nlu_score": 0.61}).nlu_score
0.61
>>> parse_utterance({"id": "7", "locale": "sw-KE", "text": "washa taa", "nlu_score": 61})
Traceback (most recent call last):
...
plugin.formats.checks.RecordError: nlu_score: must lie in [0, 1], not 61
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from plugin.formats import checks
from plugin.formats.checks import RecordError
from plugin.records import Hypothesis, TrainingExample, Utterance

__all__ = [
    "GOLD_FIELDS",
    "UTTERANCE_FIELDS",
    "LabelledUtterance",
    "RecordError",
    "content_hash",
    "gold_to_json",
    "meaning_to_json",
    "parse_gold",
    "parse_utterance",
    "to_json",
]

UTTERANCE_FIELDS = frozenset(
    {"format", "id", "locale", "text", "hypothesis", "nlu_score", "domain_scores", "defect", "occurred_at"}
)
GOLD_FIELDS = UTTERANCE_FIELDS | {"label", "partition"}


@dataclass(frozen=True, slots=True)
class LabelledUtterance(TrainingExample):
    """A gold record: `label` is what a person says the text means, `partition` where its author put it."""

    partition: str | None = None


def parse_utterance(obj: object) -> Utterance:
    """One record of a production log; raises RecordError."""
    record = checks.record_object(obj, UTTERANCE_FIELDS)
    text = checks.text(record)
    hypothesis = record.get("hypothesis")
    occurred_at = record.get("occurred_at")
    domain_scores = record.get("domain_scores")
    nlu_score = record.get("nlu_score")
    return Utterance(
        id=checks.utterance_id(record),
        locale=checks.locale(record),
        text=text,
        hypothesis=None if hypothesis is None else _part(record, "hypothesis", text),
        nlu_score=None if nlu_score is None else checks.probability(nlu_score, "nlu_score"),
        domain_scores=None if domain_scores is None else checks.domain_scores(domain_scores),
        defect=checks.defect(record.get("defect")),
        occurred_at=None if occurred_at is None else checks.moment(occurred_at),
    )


def parse_gold(obj: object) -> LabelledUtterance:
    """One gold annotation: an utterance record with a `label`; raises RecordError."""
    record = checks.record_object(obj, GOLD_FIELDS)
    label = record.get("label")
    if label is None:
        raise RecordError("label", "is missing: a gold record says what the text means")
    # What the machine said may stand beside the label; it is checked like any record, and not kept.
    utterance = parse_utterance({name: record[name] for name in record.keys() - {"label", "partition"}})
    partition = record.get("partition")
    if partition is not None:
        partition = checks.label(partition, "partition")
    return LabelledUtterance(
        utterance.id, utterance.locale, utterance.text, _part(record, "label", utterance.text), partition
    )


def to_json(utterance: Utterance) -> dict[str, Any]:
    """The record of an utterance; `parse_utterance` reads it back to an equal one."""
    record: dict[str, Any] = {"id": utterance.id, "locale": utterance.locale, "text": utterance.text}
    if utterance.hypothesis is not None:
        record["hypothesis"] = meaning_to_json(utterance.hypothesis)
    if utterance.nlu_score is not None:
        record["nlu_score"] = utterance.nlu_score
    if utterance.domain_scores is not None:
        record["domain_scores"] = dict(sorted(utterance.domain_scores.items()))
    record["defect"] = utterance.defect
    if utterance.occurred_at is not None:
        record["occurred_at"] = _utc_iso(utterance.occurred_at).replace("+00:00", "Z")
    return record


def gold_to_json(example: TrainingExample) -> dict[str, Any]:
    """The gold record of a labelled utterance; `parse_gold` reads it back to an equal one."""
    record: dict[str, Any] = {"id": example.id, "locale": example.locale, "text": example.text}
    record["label"] = meaning_to_json(example.label)
    if isinstance(example, LabelledUtterance) and example.partition is not None:
        record["partition"] = example.partition
    return record


def meaning_to_json(meaning: Hypothesis) -> dict[str, Any]:
    slots = [[slot.start, slot.end, slot.label] for slot in meaning.slots]
    return {"domain": meaning.domain, "intent": meaning.intent, "slots": slots}


def content_hash(record: Utterance | TrainingExample) -> bytes:
    """SHA-256 of all that a record says but its id: two records of one id differ if and only if this does.

    Hashed are the fields as text with NUL between them, which no field can contain; what is optional follows
    a mark that no label can contain. Numbers are written as Python's repr, times as ISO 8601 in UTC.
    """
    parts = [record.locale, record.text]
    if isinstance(record, Utterance):
        if record.hypothesis is not None:
            _add_meaning(parts, "\x01hypothesis", record.hypothesis)
        if record.nlu_score is not None:
            parts += ("\x01nlu_score", repr(record.nlu_score))
        if record.domain_scores is not None:
            parts.append("\x01domain_scores")
            for name, value in sorted(record.domain_scores.items()):
                parts += (name, repr(value))
        if record.defect:
            parts.append("\x01defect")
        if record.occurred_at is not None:
            parts += ("\x01occurred_at", _utc_iso(record.occurred_at))
    else:
        _add_meaning(parts, "\x01label", record.label)
        if isinstance(record, LabelledUtterance) and record.partition is not None:
            parts += ("\x01partition", record.partition)
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _add_meaning(parts: list[str], mark: str, meaning: Hypothesis) -> None:
    parts += (mark, meaning.domain, meaning.intent)
    for slot in meaning.slots:
        parts += (str(slot.start), str(slot.end), slot.label)


def _utc_iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _part(record: dict[str, Any], field: str, text: str) -> Hypothesis:
    try:
        return checks.meaning(record[field], text)
    except RecordError as error:
        raise error.within(field) from None

"""Records from files, standard input and requests into `utterances` and `annotations`.

Records are taken in chunks, each in a transaction of its own that `transaction` commits: whoever dies in between has
lost the last chunk only, and repeats the whole file, for what is there already changes nothing. A chunk is handed to
the caller once it is committed, so that scores can be asked for before the answer, never before the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TypeVar

from sqlalchemy.orm import Session

from db.models.utterances import GONE, POOL
from db.repositories import annotations as annotation_rows
from db.repositories import utterances
from db.repositories.annotations import Gold
from db.repositories.utterances import Incoming, Upserted
from db.session import TransactionMaker
from plugin.formats.checks import RecordError, label
from plugin.formats.files import Parsed
from plugin.formats.record import LabelledUtterance
from plugin.records import Hypothesis, Utterance

DEFAULT_SOURCE = "log"
DEFAULT_GOLD_SOURCE = "gold"
TRAINING_PARTITIONS = ("train", "dev")

CHUNK_RECORDS = 8192
# A file may consist of nothing but rejects of a megabyte each.
CHUNK_BYTES = 32 << 20

R = TypeVar("R", Utterance, LabelledUtterance)


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was not taken; `line` as in `Parsed`."""

    line: int
    error: RecordError
    raw: bytes


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the records that were read; the other fields add up to `read`.

    repeated  the same record stood in the file before
    """

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    repeated: int = 0
    rejected: int = 0

    def __add__(self, other: Summary) -> Summary:
        return Summary(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A committed part of a file; `ids` are the new and changed utterances, ascending."""

    summary: Summary
    ids: list[int]
    rejects: list[Reject]


def ingest_utterances(
    transaction: TransactionMaker, records: Iterable[Parsed[Utterance]], source: str, *, is_live: bool = False
) -> Iterator[Chunk]:
    """Records of a production log into the pool; or, `is_live`, those of a source as it stands now."""
    check_source(source)

    def store(session: Session, batch: Sequence[Utterance], hashes: Sequence[bytes]) -> Upserted:
        rows = (to_incoming(record, hash_) for record, hash_ in zip(batch, hashes, strict=True))
        return utterances.upsert(session, source, POOL, rows, is_live=is_live)

    return (_take(transaction, part, store) for part in _parts(records))


def ingest_annotations(
    transaction: TransactionMaker, records: Iterable[Parsed[LabelledUtterance]], source: str, partition: str
) -> Iterator[Chunk]:
    """Gold records into a partition: train, dev, or a test set of that name. An id lives in one partition for good."""
    check_source(source)
    check_partition(partition)

    def store(session: Session, batch: Sequence[LabelledUtterance], hashes: Sequence[bytes]) -> Upserted:
        rows = (
            Incoming(record.id, hash_, record.locale, record.text) for record, hash_ in zip(batch, hashes, strict=True)
        )
        upserted = utterances.upsert(session, source, partition, rows)
        labels = {record.id: record.label for record in batch}
        annotation_rows.put_gold(
            session,
            f"file:{source}",
            (
                Gold(row.id, row.revision, said.domain, said.intent, slot_lists(said), DEFAULT_GOLD_SOURCE)
                for row in upserted.stored
                for said in (labels[row.external_id],)
            ),
        )
        return upserted

    checked = (_in_partition(parsed, partition) for parsed in records)
    return (_take(transaction, part, store) for part in _parts(checked))


def check_source(source: str) -> None:
    """Raises ValueError."""
    label(source, "source")


def check_partition(partition: str) -> None:
    """Raises ValueError."""
    if label(partition, "partition") == POOL:
        raise RecordError("partition", "pool holds records of production logs; gold data goes to train, dev or a name")
    if partition == GONE:
        raise RecordError("partition", "gone holds what was deleted where it came from; gold data goes elsewhere")


def score_ranges(ids: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Ascending ids as ranges [first, last] that span at most `size` ids each."""
    ranges: list[tuple[int, int]] = []
    for id_ in ids:
        if ranges and id_ - ranges[-1][0] < size:
            ranges[-1] = (ranges[-1][0], id_)
        else:
            ranges.append((id_, id_))
    return ranges


def to_incoming(record: Utterance, content_hash: bytes) -> Incoming:
    said = record.hypothesis
    return Incoming(
        external_id=record.id,
        content_hash=content_hash,
        locale=record.locale,
        text=record.text,
        domain=said.domain if said else None,
        intent=said.intent if said else None,
        slots=slot_lists(said) if said else (),
        nlu_score=record.nlu_score,
        domain_scores=dict(record.domain_scores) if record.domain_scores is not None else None,
        defect=record.defect,
        occurred_at=record.occurred_at,
    )


def slot_lists(said: Hypothesis) -> list[list[int | str]]:
    return [[slot.start, slot.end, slot.label] for slot in said.slots]


def _parts(records: Iterable[Parsed[R]]) -> Iterator[list[Parsed[R]]]:
    part: list[Parsed[R]] = []
    size = 0
    for parsed in records:
        part.append(parsed)
        size += len(parsed.raw)
        if len(part) == CHUNK_RECORDS or size >= CHUNK_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _take(
    transaction: TransactionMaker,
    part: Sequence[Parsed[R]],
    store: Callable[[Session, Sequence[R], Sequence[bytes]], Upserted],
) -> Chunk:
    good = [parsed for parsed in part if parsed.record is not None and not parsed.repeated]
    with transaction() as session:
        upserted = store(
            session,
            [parsed.record for parsed in good if parsed.record is not None],
            [parsed.content_hash for parsed in good],
        )
    rejects = [Reject(parsed.line, parsed.error, parsed.raw) for parsed in part if parsed.error is not None]
    rejects += [
        Reject(parsed.line, _elsewhere(upserted.conflicts[parsed.record.id]), parsed.raw)
        for parsed in good
        if parsed.record is not None and parsed.record.id in upserted.conflicts
    ]
    summary = Summary(
        read=len(part),
        new=upserted.new,
        changed=upserted.changed,
        unchanged=upserted.unchanged,
        repeated=sum(parsed.repeated for parsed in part),
        rejected=len(rejects),
    )
    return Chunk(summary, sorted(row.id for row in upserted.stored), sorted(rejects, key=lambda reject: reject.line))


def _elsewhere(partition: str) -> RecordError:
    return RecordError("id", f"is in the partition {partition} of this source already, and stays there")


def _in_partition(parsed: Parsed[LabelledUtterance], partition: str) -> Parsed[LabelledUtterance]:
    """A record whose author put it into train must not end up in a test set, nor the other way round."""
    own = parsed.record.partition if parsed.record is not None else None
    if own is None or _role(own) == _role(partition):
        return parsed
    error = RecordError("partition", f"the record says {own}, and is asked into {partition}")
    return parsed._replace(record=None, error=error, repeated=False)


def _role(partition: str) -> str:
    return partition if partition in TRAINING_PARTITIONS else "test"

from __future__ import annotations

import io
import itertools

import pytest
from sqlalchemy import func, select

from db.models import AnnotationRow, UtteranceRow
from db.session import TransactionMaker
from plugin.formats.files import Parsed, read_json_lines
from plugin.formats.record import LabelledUtterance, parse_gold, parse_utterance
from plugin.records import Utterance
from plugin.services import ingest
from plugin.services.ingest import Chunk, Summary, intake, score_ranges
from tests.integration.ingest.conftest import line

LABEL = {"domain": "music", "intent": "play", "slots": [[5, 9, "genre"]]}


def records(*lines: bytes) -> list[Parsed[Utterance]]:
    return list(read_json_lines(io.BytesIO(b"".join(lines)), parse_utterance))


def gold_records(*lines: bytes) -> list[Parsed[LabelledUtterance]]:
    return list(read_json_lines(io.BytesIO(b"".join(lines)), parse_gold))


def take(transaction: TransactionMaker, *lines: bytes, source: str = "log") -> list[Chunk]:
    return list(ingest.ingest_utterances(transaction, records(*lines), source))


def take_gold(transaction: TransactionMaker, partition: str, *lines: bytes, source: str = "gold") -> list[Chunk]:
    return list(ingest.ingest_annotations(transaction, gold_records(*lines), source, partition))


def gold_rows(transaction: TransactionMaker) -> list[AnnotationRow]:
    with transaction() as session:
        return list(session.scalars(select(AnnotationRow).order_by(AnnotationRow.id)))


def test_the_summary_adds_up(transaction: TransactionMaker) -> None:
    take(transaction, line("old"), line("same"))
    [chunk] = take(
        transaction, line("new"), line("same"), line("old", "new words"), line("new"), b"{\n", line("new", "other")
    )
    assert chunk.summary == Summary(read=6, new=1, changed=1, unchanged=1, repeated=1, rejected=2)
    assert [(reject.line, str(reject.error).split(":")[0]) for reject in chunk.rejects] == [(5, "not JSON"), (6, "id")]
    with transaction() as session:
        expected = select(UtteranceRow.id).where(UtteranceRow.external_id.in_(["new", "old"]))
        assert chunk.ids == sorted(session.scalars(expected))


def test_each_chunk_is_committed_before_it_is_handed_on(
    transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_RECORDS", 2)
    lines = [line(f"u{number}") for number in range(5)]
    sizes = []
    for number, _ in enumerate(ingest.ingest_utterances(transaction, records(*lines), "log"), start=1):
        with transaction() as session:
            sizes.append((number, session.scalar(select(func.count()).select_from(UtteranceRow))))
    assert sizes == [(1, 2), (2, 4), (3, 5)]


def test_whoever_stops_in_between_loses_nothing_and_doubles_nothing(
    transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_RECORDS", 2)
    lines = [line(f"u{number}") for number in range(5)]
    list(itertools.islice(ingest.ingest_utterances(transaction, records(*lines), "log"), 2))
    total = sum((chunk.summary for chunk in take(transaction, *lines)), Summary())
    assert total == Summary(read=5, new=1, unchanged=4)


def test_chunks_are_cut_by_size_too(transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "CHUNK_BYTES", 300)
    chunks = take(transaction, *(b"x" * 200 + b"\n" for _ in range(6)))
    assert [chunk.summary.rejected for chunk in chunks] == [2, 2, 2]


def test_gold_is_an_utterance_of_its_partition_with_its_label(transaction: TransactionMaker) -> None:
    take_gold(transaction, "train", line("a", label=LABEL))
    [row] = gold_rows(transaction)
    assert (row.instance, row.verdict, row.annotator, row.revision) == ("file:gold", "accept", "gold", 1)
    assert (row.domain, row.intent, row.slots) == ("music", "play", [[5, 9, "genre"]])
    with transaction() as session:
        utterance = session.scalars(select(UtteranceRow)).one()
        assert (utterance.id, utterance.partition, utterance.source) == (row.utterance_id, "train", "gold")
        assert utterance.domain is None


def test_gold_twice_is_once_and_a_new_label_takes_the_place_of_the_old(transaction: TransactionMaker) -> None:
    take_gold(transaction, "train", line("a", label=LABEL), line("b", label=LABEL))
    [again] = take_gold(transaction, "train", line("a", label=LABEL), line("b", label=LABEL))
    assert again.summary == Summary(read=2, unchanged=2)
    [better] = take_gold(transaction, "train", line("a", label={**LABEL, "intent": "stop"}))
    assert better.summary == Summary(read=1, changed=1)
    assert sorted((row.intent, row.revision) for row in gold_rows(transaction)) == [("play", 1), ("stop", 2)]
    take_gold(transaction, "train", line("a", label=LABEL))
    assert sorted((row.intent, row.revision) for row in gold_rows(transaction)) == [("play", 1), ("stop", 2)]


def test_no_id_is_both_pool_and_test_data(transaction: TransactionMaker) -> None:
    take(transaction, line("a"), line("b"))
    [gold] = take_gold(transaction, "test", line("a", label=LABEL), line("c", label=LABEL), source="log")
    assert gold.summary == Summary(read=2, new=1, rejected=1)
    [reject] = gold.rejects
    assert (reject.line, reject.raw) == (1, line("a", label=LABEL).rstrip())
    assert str(reject.error) == "id: is in the partition pool of this source already, and stays there"
    [pool] = take(transaction, line("c", "other words"))
    assert "the partition test" in str(pool.rejects[0].error)
    assert len(gold_rows(transaction)) == 1


@pytest.mark.parametrize(
    ("own", "asked", "is_taken"),
    [
        ("train", "train", True), ("test", "massive-test", True), ("dev", "dev", True),
        ("test", "train", False), ("train", "test", False), ("train", "dev", False), ("dev", "blind", False),
    ],
)  # fmt: skip
def test_what_its_author_kept_for_testing_never_trains(
    transaction: TransactionMaker, own: str, asked: str, is_taken: bool
) -> None:
    [chunk] = take_gold(transaction, asked, line("a", label=LABEL, partition=own))
    assert chunk.summary.new == is_taken
    assert chunk.summary.rejected == (not is_taken)
    if not is_taken:
        assert str(chunk.rejects[0].error) == f"partition: the record says {own}, and is asked into {asked}"


@pytest.mark.parametrize("partition", ["pool", "", " ", "a\nb", "*", "x" * 129])
def test_partitions_that_gold_cannot_go_into(transaction: TransactionMaker, partition: str) -> None:
    with pytest.raises(ValueError, match="partition"):
        take_gold(transaction, partition)


@pytest.mark.parametrize("source", ["", "  ", "a\x00b", "x" * 129])
def test_sources_that_are_no_names(transaction: TransactionMaker, source: str) -> None:
    with pytest.raises(ValueError, match="source"):
        take(transaction, source=source)


@pytest.mark.parametrize(
    ("ids", "ranges"),
    [
        ([], []),
        ([5], [(5, 5)]),
        ([1, 2, 3, 4], [(1, 3), (4, 4)]),
        ([1, 3, 4, 100], [(1, 3), (4, 4), (100, 100)]),
        ([10, 1000, 1001, 1002, 1003], [(10, 10), (1000, 1002), (1003, 1003)]),
    ],
)
def test_ranges_span_no_more_ids_than_a_batch(ids: list[int], ranges: list[tuple[int, int]]) -> None:
    assert score_ranges(ids, 3) == ranges

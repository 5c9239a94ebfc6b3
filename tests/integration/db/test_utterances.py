from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import UtteranceRevision, UtteranceRow
from db.models.utterances import GONE, POOL
from db.repositories import utterances
from db.repositories.utterances import Incoming, Stored, Upserted
from db.session import make_engine, transaction_maker


def record(id_: str, text_: str = "play jazz", **changed: Any) -> Incoming:
    values: dict[str, Any] = {"locale": "en-US", "text": text_, **changed}
    digest = hashlib.sha256(repr(sorted(values.items())).encode()).digest()
    return Incoming(external_id=id_, content_hash=digest, **values)


def upsert(session: Session, *rows: Incoming, source: str = "log", partition: str = "pool") -> Upserted:
    return utterances.upsert(session, source, partition, rows)


def row_of(session: Session, id_: str) -> UtteranceRow:
    session.expire_all()
    return session.scalars(select(UtteranceRow).where(UtteranceRow.external_id == id_)).one()


def test_every_field_arrives(session: Session) -> None:
    at = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    whole = record(
        "a",
        "cheza muziki wa 🎵 Sauti Sol",
        domain="music",
        intent="play",
        slots=[[7, 13, "kind"], [17, 18, "mood"]],
        nlu_score=0.25,
        domain_scores={"music": 0.75, "audio": 0.125},
        defect=True,
        occurred_at=at,
    )
    upsert(session, whole, record("b"))
    row = row_of(session, "a")
    assert (row.source, row.partition, row.revision) == ("log", "pool", 1)
    for name in Incoming._fields:
        expected = getattr(whole, name)
        assert getattr(row, name) == expected, name
    bare = row_of(session, "b")
    assert (bare.domain, bare.slots, bare.nlu_score, bare.domain_scores, bare.defect) == (None, [], None, None, False)
    assert session.scalar(text("SELECT count(*) FROM utterances WHERE domain_scores IS NULL")) == 1


def test_idempotent(session: Session) -> None:
    rows = [record(f"u{number}") for number in range(100)]
    first = upsert(session, *rows)
    assert (first.new, first.changed, first.unchanged, len(first.stored)) == (100, 0, 0, 100)
    ingested = row_of(session, "u7").ingested_at
    assert upsert(session, *rows) == Upserted(0, 0, 100, [], {})
    assert row_of(session, "u7").ingested_at == ingested


def test_a_changed_record_is_a_new_revision_and_the_old_content_is_kept_whole(session: Session) -> None:
    old = record("a", "play jaz", domain="music", intent="play", slots=[[5, 8, "genre"]], nlu_score=0.5)
    [stored] = upsert(session, old).stored
    before = row_of(session, "a").ingested_at
    again = upsert(session, record("a", "play jazz"), record("b"))
    assert (again.new, again.changed, again.unchanged) == (1, 1, 0)
    assert Stored("a", stored.id, 2) in again.stored
    row = row_of(session, "a")
    assert (row.text, row.revision, row.domain, row.slots) == ("play jazz", 2, None, [])
    assert row.ingested_at > before
    kept = session.scalars(select(UtteranceRevision)).one()
    assert (kept.utterance_id, kept.revision, kept.content_hash) == (stored.id, 1, old.content_hash)
    expected = {"text": "play jaz", "domain": "music", "intent": "play", "slots": [[5, 8, "genre"]], "nlu_score": 0.5}
    assert expected.items() <= kept.content.items()
    assert set(kept.content) == {*Incoming._fields, "ingested_at"} - {"external_id", "content_hash"}


def test_an_old_file_never_takes_a_newer_revision_back(session: Session) -> None:
    versions = [record("a", f"text {number}") for number in range(3)]
    for version in versions:
        upsert(session, version)
    for version in versions:
        assert upsert(session, version) == Upserted(0, 0, 1, [], {})
    assert (row_of(session, "a").text, row_of(session, "a").revision) == ("text 2", 3)


def test_an_id_stays_in_its_partition(session: Session) -> None:
    upsert(session, record("a"), record("b"))
    gold = upsert(session, record("a", "changed"), record("c"), partition="test")
    assert (gold.new, gold.changed, gold.unchanged, gold.conflicts) == (1, 0, 0, {"a": "pool"})
    assert upsert(session, record("c"), partition="dev").conflicts == {"c": "test"}
    assert row_of(session, "a").text == "play jazz"


def test_an_id_belongs_to_its_source(session: Session) -> None:
    upsert(session, record("a"))
    assert upsert(session, record("a", "other"), source="app", partition="test").new == 1


def test_two_chunks_in_one_transaction(session: Session) -> None:
    assert upsert(session, record("a")).new == 1
    assert upsert(session, record("b")).new == 1
    assert upsert(session) == Upserted(0, 0, 0, [], {})
    assert [row_of(session, name).partition for name in ("a", "b")] == ["pool", "pool"]


def test_the_database_refuses_half_a_hypothesis(session: Session) -> None:
    with pytest.raises(IntegrityError, match="hypothesis_is_whole"):
        upsert(session, record("a", domain="music"))


def test_revisions_of_those_that_exist(session: Session) -> None:
    [stored] = upsert(session, record("a")).stored
    upsert(session, record("a", "newer"))
    assert utterances.revisions(session, [stored.id, 10**9]) == {stored.id: 2}
    assert utterances.revisions(session, range(stored.id, stored.id + 100_000)) == {stored.id: 2}


def test_two_writers_of_one_source_take_turns(clean_database_url: str) -> None:
    """Both bring the same new ids: without the lock, one of them would end with a unique violation."""
    engine = make_engine(clean_database_url)
    transaction = transaction_maker(engine)
    rows = [record(f"u{number}") for number in range(2000)]
    outcomes: list[Upserted] = []
    start = threading.Barrier(2)

    def write() -> None:
        start.wait()
        with transaction() as session:
            outcomes.append(utterances.upsert(session, "log", "pool", rows))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert sorted((done.new, done.unchanged) for done in outcomes) == [(0, 2000), (2000, 0)]


def test_the_look_up_of_each_row_uses_the_index(session: Session) -> None:
    upsert(session, *(record(f"u{number}") for number in range(3000)))
    session.execute(text("ANALYZE utterances"))
    utterances._stage(session, [record(f"u{number}") for number in range(1000)])
    given = {"source": "log", "partition": "pool", "is_live": True, "gone": GONE}
    for statement in (utterances.UPSERT, utterances.BRING_BACK):
        used = {name: value for name, value in given.items() if f":{name}" in statement.text}
        lines = "\n".join(session.execute(text(f"EXPLAIN {statement.text}"), used).scalars())
        assert "uq_utterances_source_external_id" in lines
        assert "Seq Scan on utterances\n" not in lines


def test_a_live_source_returns_to_an_earlier_content_by_a_new_revision(session: Session) -> None:
    def take(text_: str) -> Upserted:
        return utterances.upsert(session, "live", POOL, [record("u1", text_)], is_live=True)

    taken = [take(text_) for text_ in ("play", "stop", "play", "play")]
    assert [[row.revision for row in one.stored] for one in taken] == [[1], [2], [3], []]
    assert row_of(session, "u1").text == "play"


def test_what_left_the_pool_is_back_when_its_live_source_has_it_again(session: Session) -> None:
    one, other = (row.id for row in sorted(upsert(session, record("u1"), record("u2"), source="live").stored))
    assert utterances.leave_pool(session, [one, other]) == 2
    assert utterances.leave_pool(session, [one]) == 0
    assert upsert(session, record("u1"), source="live").conflicts == {"u1": GONE}
    before = row_of(session, "u1").ingested_at
    back = utterances.upsert(session, "live", POOL, [record("u1"), record("u2", "stop")], is_live=True)
    assert (back.new, back.changed, back.unchanged, back.conflicts) == (0, 2, 0, {})
    assert sorted((row.id, row.revision) for row in back.stored) == [(one, 1), (other, 2)]
    assert (row_of(session, "u1").partition, row_of(session, "u2").partition) == (POOL, POOL)
    assert row_of(session, "u1").ingested_at > before
    assert utterances.ids(session, "live", ["u1", "u2", "u3"]) == {"u1": one, "u2": other}
    assert [utterances.is_source(session, name) for name in ("live", "dead")] == [True, False]

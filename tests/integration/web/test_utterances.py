"""POST /api/utterances: into the pool, scores asked for, and said what became of every line."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import select

from db.models import UtteranceRevision
from plugin.formats.files import read_json_lines
from plugin.formats.record import parse_gold
from plugin.services import ingest
from plugin.services.ingest import intake
from plugin.web import bodies, utterances
from plugin.web.app import create_app
from plugin.wiring import get_wiring
from tests.integration.web.conftest import (
    BATCH,
    LIMIT,
    TOKEN,
    Broker,
    Door,
    exchange,
    line,
    serve,
    together,
    utterance_rows,
)

LABEL = {"domain": "music", "intent": "play"}


def summary(answer: httpx.Response) -> dict[str, int]:
    """What is not zero of an answer's counts."""
    names = ("read", "new", "changed", "unchanged", "repeated", "rejected")
    return {name: answer.json()[name] for name in names if answer.json()[name]}


def asked(broker: Broker) -> list[list[int]]:
    messages = broker.waiting("scoring")
    assert {name for name, _ in messages} <= {"scoring.score_batch"}
    return [ranges for _, ranges in messages]


def test_good_records_are_stored_and_scores_are_asked_for(door: Door, broker: Broker) -> None:
    said = {"domain": "music", "intent": "play", "slots": [[5, 9, "genre"]]}
    first = line(
        "u0", "play jazz", hypothesis=said, nlu_score=0.5, defect=True, occurred_at="2026-03-01T10:30:00+02:00"
    )
    answer = door.utterances(first, *(line(f"u{number}") for number in range(1, 250)))
    assert answer.status_code == 200
    assert answer.json() == {
        "source": "log", "read": 250, "new": 250, "changed": 0, "unchanged": 0, "repeated": 0, "rejected": 0,
        "rejects": [], "scoring_requested": True,
    }  # fmt: skip
    rows = utterance_rows()
    assert asked(broker) == [[rows[0].id, rows[99].id], [rows[100].id, rows[199].id], [rows[200].id, rows[249].id]]
    stored = rows[0]
    assert (stored.source, stored.external_id, stored.partition, stored.revision) == ("log", "u0", "pool", 1)
    assert (stored.locale, stored.text, stored.domain, stored.intent) == ("en-US", "play jazz", "music", "play")
    assert (stored.slots, stored.nlu_score, stored.defect) == ([[5, 9, "genre"]], 0.5, True)
    assert stored.occurred_at == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def test_a_repeated_upload_changes_nothing(door: Door, broker: Broker) -> None:
    lines = [line(f"u{number}") for number in range(3)]
    door.utterances(*lines)
    before = [(row.id, row.revision, row.ingested_at) for row in utterance_rows()]
    again = door.utterances(*lines)
    assert (again.status_code, summary(again)) == (200, {"read": 3, "unchanged": 3})
    assert again.json()["scoring_requested"] is True
    assert [(row.id, row.revision, row.ingested_at) for row in utterance_rows()] == before
    assert len(asked(broker)) == 1


def test_a_changed_record_is_a_new_revision_and_is_scored_again(door: Door, broker: Broker) -> None:
    door.utterances(line("a"), line("b"))
    changed = door.utterances(line("a", "play jazz louder"), line("b"))
    assert summary(changed) == {"read": 2, "changed": 1, "unchanged": 1}
    first, second = utterance_rows()
    assert [(row.text, row.revision) for row in (first, second)] == [("play jazz louder", 2), ("play jazz", 1)]
    with get_wiring().transaction() as session:
        [kept] = session.scalars(select(UtteranceRevision))
        assert (kept.utterance_id, kept.revision, kept.content["text"]) == (first.id, 1, "play jazz")
    assert asked(broker) == [[first.id, first.id], [first.id, second.id]]


def test_an_id_is_unique_within_its_source(door: Door) -> None:
    assert door.utterances(line("a"), query="?source=app%20one").json()["source"] == "app one"
    assert summary(door.utterances(line("a", "stop"), query="?source=app%20two")) == {"read": 1, "new": 1}
    assert sorted((row.source, row.text) for row in utterance_rows()) == [("app one", "play jazz"), ("app two", "stop")]


BAD: list[tuple[bytes, str, str]] = [
    (b"\xff\xfe\x00\n", "", "not UTF-8: byte 0xff at position 0"),
    (b'{"id": "x", "locale": "en", "text": "caf\xe9"}\n', "", "not UTF-8: byte 0xe9"),
    (b"{\n", "", "not JSON"),
    (b"[1, 2]\n", "", "must be a JSON object"),
    (b'{"id": "a", "id": "b", "locale": "en", "text": "a"}\n', "", "comes twice"),
    (line("nul", "a\x00b"), "text", "NUL"),
    (line("score", nlu_score=1.5), "nlu_score", "must lie in [0, 1]"),
    (line("typo", nlu_scroe=0.5), "nlu_scroe", ""),
    (line("span", hypothesis={**LABEL, "slots": [[0, 99, "x"]]}), "hypothesis.slots[0]", "span 0:99"),
    (line("gold", label=LABEL), "label", "belongs to gold"),
    (line("good", "other words"), "id", "came before in this file with other content"),
    (b'{"id": "long", "text": "' + b"a" * (1 << 20) + b'"}\n', "", "longer than 1048576 bytes"),
]


def test_bad_lines_are_named_and_never_stop_the_others(door: Door, broker: Broker) -> None:
    bad = [raw for raw, _, _ in BAD]
    answer = door.utterances(b"\xef\xbb\xbf", line("good"), b"\r\n\n", *bad, line("good"), line("last").rstrip())
    assert answer.status_code == 200
    assert summary(answer) == {"read": len(BAD) + 3, "new": 2, "repeated": 1, "rejected": len(BAD)}
    rejects = answer.json()["rejects"]
    assert [reject["line"] for reject in rejects] == list(range(4, 4 + len(BAD)))
    for reject, (raw, field, reason) in zip(rejects, BAD, strict=True):
        assert reject["field"] == field, reject
        assert reason in reject["reason"], reject
        assert reject["raw"] == raw.rstrip(b"\n")[:200].decode(errors="replace")
    rows = utterance_rows()
    assert [row.external_id for row in rows] == ["good", "last"]
    assert asked(broker) == [[rows[0].id, rows[1].id]]


NOT_JSON_LINES = {
    "binary": b"\xff\xfe\x00",
    "no records": b"{\n[]\n",
    "gzip": gzip.compress(line(), mtime=0),
    "csv": b"id,locale,text\na,en,play\n",
}


@pytest.mark.parametrize("body", NOT_JSON_LINES.values(), ids=NOT_JSON_LINES.keys())
def test_a_body_of_nothing_but_bad_lines_is_an_error(door: Door, broker: Broker, body: bytes) -> None:
    answer = door.utterances(body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    said = answer.json()
    assert said["detail"] == "every record was rejected"
    assert said["rejected"] == said["read"] == len(said["rejects"]) > 0
    assert [reject["line"] for reject in said["rejects"]] == list(range(1, said["read"] + 1))
    assert (utterance_rows(), broker.waiting("scoring")) == ([], [])


def test_the_answer_names_so_many_rejects_and_counts_all(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterances, "SHOWN_REJECTS", 5)
    monkeypatch.setattr(intake, "CHUNK_RECORDS", 3)
    answer = door.utterances(line(), *(b"{\n" for _ in range(10)))
    assert summary(answer) == {"read": 11, "new": 1, "rejected": 10}
    assert [reject["line"] for reject in answer.json()["rejects"]] == [2, 3, 4, 5, 6]


def test_an_id_of_a_test_set_never_comes_into_the_pool(door: Door, broker: Broker) -> None:
    gold = read_json_lines(io.BytesIO(line("a", label=LABEL)), parse_gold)
    list(ingest.ingest_annotations(get_wiring().transaction, gold, "log", "blind"))
    answer = door.utterances(line("a", "other words"), line("b"))
    assert summary(answer) == {"read": 2, "new": 1, "rejected": 1}
    [reject] = answer.json()["rejects"]
    assert (reject["line"], reject["field"]) == (1, "id")
    assert "the partition blind" in reject["reason"]
    assert [(row.external_id, row.partition) for row in utterance_rows()] == [("a", "blind"), ("b", "pool")]


def test_a_large_body_is_kept_on_disk_and_taken_whole(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "IN_MEMORY", 1024)
    monkeypatch.setattr(intake, "CHUNK_RECORDS", 1000)
    lines = [line(f"u{number}", "play jazz " + "x" * 1000) for number in range(2500)]
    assert summary(door.utterances(*lines)) == {"read": 2500, "new": 2500}
    assert len(utterance_rows()) == 2500


def test_a_body_of_unknown_length_is_taken(door: Door) -> None:
    pieces = (piece for piece in (line("a")[:10], line("a")[10:] + line("b")))
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/jsonl"}
    answer = door.client.post("/api/utterances", content=pieces, headers=headers)
    assert summary(answer) == {"read": 2, "new": 2}


def head(token: str, length: int) -> bytes:
    return (
        f"POST /api/utterances HTTP/1.1\r\nHost: assay\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/jsonl\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ).encode()


def test_who_asks_before_sending_is_told_before_sending(door: Door) -> None:
    assert exchange(door, head(TOKEN, LIMIT + 1)).startswith(b"HTTP/1.1 413 ")
    assert exchange(door, head("wrong", LIMIT)).startswith(b"HTTP/1.1 401 ")
    assert exchange(door, head(TOKEN, len(line()))).startswith(b"HTTP/1.1 100 ")


def test_a_sender_who_breaks_off_leaves_nothing_behind(
    environment: None, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """The lines that came may be cut anywhere, so none is taken before the last."""
    begun = head(TOKEN, 1000).replace(b"Expect: 100-continue\r\n", b"") + line()
    with serve(create_app()) as door:
        exchange(door, begun, hang_up=True)
        assert summary(door.utterances(line("b"))) == {"read": 1, "new": 1}
    assert [row.external_id for row in utterance_rows()] == ["b"]
    assert len(broker.waiting("scoring")) == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_same_upload_from_many_at_once_is_stored_once(door: Door, broker: Broker) -> None:
    lines = [line(f"u{number}") for number in range(500)]
    answers = together(6, lambda number: door.utterances(*lines[number:], *lines[:number]))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert sum(answer.json()["new"] for answer in answers) == 500
    assert sum(answer.json()["unchanged"] for answer in answers) == 2500
    rows = utterance_rows()
    assert {row.revision for row in rows} == {1}
    assert len(rows) == 500
    assert asked(broker) == [
        [row.id, rows[min(at + BATCH, 500) - 1].id] for at, row in enumerate(rows) if at % BATCH == 0
    ]

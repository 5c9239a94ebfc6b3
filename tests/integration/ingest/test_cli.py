"""`assay ingest` as typed, on real PostgreSQL and Redis, with the worst files we know."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from sqlalchemy import func, select, text

from db.models import AnnotationRow, UtteranceRow
from db.session import make_engine, transaction_maker
from plugin.cli import main
from plugin.settings import get_settings
from plugin.wiring import get_wiring
from tests.integration.ingest.conftest import line

LABEL = {"domain": "music", "intent": "play"}


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Assay = Callable[..., Outcome]


@pytest.fixture
def environment(clean_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ASSAY_DATABASE_URL", clean_database_url)
    monkeypatch.setenv("ASSAY_BROKER_URL", redis_url)
    monkeypatch.setenv("ASSAY_SCORING_BATCH_SIZE", "100")
    monkeypatch.delenv("ASSAY_DEBUG", raising=False)
    get_settings.cache_clear()
    get_wiring.cache_clear()
    yield
    if get_wiring.cache_info().currsize:
        get_wiring().close()
    get_settings.cache_clear()
    get_wiring.cache_clear()


@pytest.fixture
def assay(environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Assay:
    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["assay", "ingest", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.run()
        code = ended.value.code
        assert isinstance(code, int | None)
        return Outcome(code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def waiting(redis_url: str) -> Iterator[Callable[[], list[list[int]]]]:
    """The ranges that `scoring.score_batch` was asked for."""
    with redis.Redis.from_url(redis_url) as client:
        client.delete("scoring")

        def ranges() -> list[list[int]]:
            messages = [json.loads(message) for message in client.lrange("scoring", 0, -1)]
            assert {message["headers"]["task"] for message in messages} <= {"scoring.score_batch"}
            return sorted(json.loads(base64.b64decode(message["body"]))[0] for message in messages)

        yield ranges
        client.delete("scoring")


def count(what: type[UtteranceRow] | type[AnnotationRow] = UtteranceRow) -> int:
    with get_wiring().transaction() as session:
        return session.scalar(select(func.count()).select_from(what)) or 0


def rejects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in path.read_bytes().splitlines()]


def test_a_good_file(assay: Assay, tmp_path: Path, waiting: Callable[[], list[list[int]]]) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b"".join(line(f"u{number}") for number in range(250)))
    done = assay("utterances", file, "--json")
    assert done.code == 0
    assert done.json == {
        "source": "log", "scoring_requested": True, "read": 250, "new": 250, "changed": 0, "unchanged": 0,
        "repeated": 0, "rejected": 0,
        "files": [{"file": str(file), "read": 250, "new": 250, "changed": 0, "unchanged": 0, "repeated": 0,
                   "rejected": 0, "rejects_file": None}],
    }  # fmt: skip
    assert waiting() == [[1, 100], [101, 200], [201, 250]]

    again = assay("utterances", file)
    assert again.code == 0
    assert "250" in again.out
    assert "unchanged" in again.out
    assert len(waiting()) == 3
    assert count() == 250


HOSTILE = [
    (b"\xff\xfe\x00", "", "not UTF-8"),
    (b'{"id": "x", "locale": "en", "text": "caf\xe9"}', "", "not UTF-8"),
    (b'{"id": "nan", "locale": "en", "text": "a", "nlu_score": NaN}', "", "NaN"),
    (b"{", "", "not JSON"),
    (b"[1, 2]", "", "must be a JSON object"),
    (b"null", "", "must be a JSON object"),
    (b'{"id": "a", "id": "b", "locale": "en", "text": "a"}', "", "comes twice"),
    (line("no-text")[:-1].replace(b'"text"', b'"x_text"'), "text", "is missing"),
    (line("nul", "a\x00b")[:-1], "text", "NUL"),
    (line("lone", "a\ud800b")[:-1], "text", "lone surrogates"),
    (line("huge", "a" * 5000)[:-1], "text", "at most 4096"),
    (line("i" * 300)[:-1], "id", "at most 255"),
    (line("score", nlu_score=1.5)[:-1], "nlu_score", "must lie in [0, 1]"),
    (line("bool", nlu_score=True)[:-1], "nlu_score", "must be a number"),
    (line("span", hypothesis={**LABEL, "slots": [[0, 99, "artist"]]})[:-1], "hypothesis.slots[0]", "span 0:99"),
    (line("over", hypothesis={**LABEL, "slots": [[0, 4, "a"], [2, 6, "b"]]})[:-1], "hypothesis.slots", "overlap"),
    (line("sum", domain_scores={"a": 0.9, "b": 0.9})[:-1], "domain_scores", "sum"),
    (line("when", occurred_at="yesterday")[:-1], "occurred_at", "ISO 8601"),
    (line("zone", occurred_at="2026-03-01T08:30:00")[:-1], "occurred_at", "time zone"),
    (line("where", locale="klingon!")[:-1], "locale", "language tag"),
    (line("good-1", "other words")[:-1], "id", "came before in this file"),
    (b"[" * 100_000, "", "nested too deeply"),
    (b'{"id": "long", "text": "' + b"a" * (1 << 20) + b'"}', "", "longer than"),
    (line("gold", label=LABEL)[:-1], "label", "belongs to gold"),
]


def test_bad_records_never_stop_the_rest(assay: Assay, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    bad = b"".join(raw + b"\n" for raw, _, _ in HOSTILE)
    file.write_bytes(b"\xef\xbb\xbf" + line("good-1") + b"\r\n\n" + bad + line("good-1") + line("good-2")[:-1])
    done = assay("utterances", file, "--json")
    assert done.code == 3
    assert "Traceback" not in done.err
    found = done.json
    assert [found[name] for name in ("read", "new", "repeated", "rejected")] == [len(HOSTILE) + 3, 2, 1, len(HOSTILE)]
    entries = rejects(tmp_path / "bad.jsonl.rejects.jsonl")
    assert found["files"][0]["rejects_file"] == str(tmp_path / "bad.jsonl.rejects.jsonl")
    assert [entry["line"] for entry in entries] == list(range(4, 4 + len(HOSTILE)))
    for entry, (raw, field, reason) in zip(entries, HOSTILE, strict=True):
        assert reason in entry["reason"], entry
        assert entry["field"] == field or not field, entry
        if "raw" in entry and len(raw) < 4096:
            assert entry["raw"].encode() == raw
    assert count() == 2

    file.write_bytes(line("good-1"))
    assert assay("utterances", file).code == 0
    assert not (tmp_path / "bad.jsonl.rejects.jsonl").exists()


def test_the_table_for_people_tells_where_the_rejects_are(assay: Assay, tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "[b]other.jsonl"
    one.write_bytes(line("a") + b"{\n")
    other.write_bytes(line("b"))
    done = assay("utterances", one, other, "--rejects", tmp_path / "deep" / "all.jsonl", "--source", "app [x]")
    assert done.code == 3
    assert "app [x]" in done.out
    assert "all" in done.out
    assert str(tmp_path / "deep" / "all.jsonl") in done.err
    [entry] = rejects(tmp_path / "deep" / "all.jsonl")
    assert (entry["source"], entry["line"], entry["raw"]) == (str(one), 2, "{")


def test_a_damaged_archive_gives_what_can_be_read(assay: Assay, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl.gz"
    whole = gzip.compress(b"".join(line(f"u{number}", os.urandom(30).hex()) for number in range(2000)))
    file.write_bytes(whole[: len(whole) // 2])
    done = assay("utterances", file, "--json")
    assert (done.code, done.json["rejected"]) == (3, 1)
    assert 500 < done.json["new"] < 1500
    assert "damaged or cut short" in rejects(tmp_path / "log.jsonl.gz.rejects.jsonl")[0]["reason"]
    file.write_bytes(whole)
    assert assay("utterances", file, "--json").json["unchanged"] == done.json["new"]
    assert count() == 2000


def test_csv_and_parquet_say_the_same_as_json_lines(assay: Assay, tmp_path: Path) -> None:
    said = {"domain": "music", "intent": "play", "slots": [[5, 9, "genre"]]}
    (tmp_path / "a.jsonl").write_bytes(line("a", "play jazz, now", hypothesis=said, nlu_score=0.5, defect=True))
    row = {"id": "a", "locale": "en-US", "text": "play jazz, now", "domain": "music", "intent": "play",
           "slots": '[[5, 9, "genre"]]', "nlu_score": 0.5, "defect": True}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row, {**row, "id": "b", "nlu_score": 7.0}]), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(
        "id,locale,text,domain,intent,slots,nlu_score,defect\n"
        'a,en-US,"play jazz, now",music,play,"[[5, 9, ""genre""]]",0.5,true\n'
        'c,en-US,"never closed,,,,,\nd,en-US,play,,,,,\n'
    )
    assert assay("utterances", tmp_path / "a.jsonl").code == 0
    parquet = assay("utterances", tmp_path / "a.parquet", "--json")
    assert (parquet.code, parquet.json["unchanged"], parquet.json["rejected"]) == (3, 1, 1)
    table = assay("utterances", tmp_path / "a.csv", "--json")
    assert (table.code, table.json["unchanged"], table.json["new"], table.json["rejected"]) == (3, 1, 1, 1)


def test_standard_input(
    assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: Callable[[], list[list[int]]]
) -> None:
    monkeypatch.chdir(tmp_path)
    packed = gzip.compress(line("a") + b"{\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
    done = assay("utterances", "-", "--json")
    assert (done.code, done.json["new"], done.json["files"][0]["rejects_file"]) == (3, 1, "stdin.rejects.jsonl")
    assert rejects(tmp_path / "stdin.rejects.jsonl")[0]["source"] == "standard input"
    assert waiting() == [[1, 1]]


def test_an_empty_file_is_no_error(assay: Assay, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    done = assay("utterances", tmp_path / "empty.jsonl", "--json")
    assert (done.code, done.json["read"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["utterances", "missing.jsonl"], "cannot read missing.jsonl: No such file or directory"),
        (["utterances", "folder.jsonl"], "Is a directory"),
        (["utterances", "log.xlsx"], "the name must end in .jsonl"),
        (["utterances", "no.parquet"], "cannot read no.parquet"),
        (["utterances", "semicolons.csv"], "separated by commas"),
        (["utterances", "good.jsonl", "missing.jsonl"], "missing.jsonl"),
        (["utterances", "good.jsonl", "./good.jsonl"], "a file is named twice"),
        (["utterances", "good.jsonl", "--rejects", "good.jsonl"], "would overwrite"),
        (["utterances", "good.jsonl", "--rejects", "folder.jsonl"], "is not a regular file"),
        (["utterances", "good.jsonl", "--rejects", "good.jsonl/x"], "no rejected records can be written"),
        (["utterances", "good.jsonl", "--source", " "], "--source: must not be blank"),
        (["annotations", "good.jsonl", "--partition", "pool"], "--partition: pool holds"),
    ],
)
def test_an_error_is_one_line_and_nothing_was_done(
    assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_bytes(line("a"))
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "log.xlsx").touch()
    (tmp_path / "no.parquet").write_bytes(b"PAR1 or not")
    (tmp_path / "semicolons.csv").write_text("id;locale;text\n")
    done = assay(*arguments)
    assert done.code == 1
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert count() == 0
    assert (tmp_path / "good.jsonl").read_bytes() == line("a")


def test_gold(assay: Assay, tmp_path: Path) -> None:
    file = tmp_path / "gold.jsonl"
    file.write_bytes(line("a", label=LABEL) + line("b") + line("c", label=LABEL, partition="train"))
    done = assay("annotations", file, "--partition", "blind", "--json")
    assert (done.code, done.json["new"], done.json["rejected"], done.json["partition"]) == (3, 1, 2, "blind")
    reasons = [entry["reason"] for entry in rejects(tmp_path / "gold.jsonl.rejects.jsonl")]
    assert reasons == [
        "is missing: a gold record says what the text means", "the record says train, and is asked into blind"
    ]  # fmt: skip
    assert count(AnnotationRow) == 1
    file.write_bytes(line("a", label=LABEL))
    assert assay("annotations", file, "--partition", "blind").code == 0
    assert assay("annotations", file, "--partition", "train").code == 3


def test_without_a_broker_the_records_are_taken_and_it_is_said(
    assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_BROKER_URL", "redis://:hidden-password@127.0.0.1:1/0")
    file = tmp_path / "log.jsonl"
    file.write_bytes(b"".join(line(f"u{number}") for number in range(1000)))
    began = time.monotonic()
    done = assay("utterances", file, "--json")
    assert time.monotonic() - began < 20
    assert (done.code, done.json["scoring_requested"], done.json["new"]) == (0, False, 1000)
    assert "The broker does not answer" in done.err
    assert "hidden-password" not in done.err


def test_without_a_database_it_is_one_line_without_the_password(
    assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_DATABASE_URL", "postgresql://assay:hidden-password@127.0.0.1:1/assay")
    (tmp_path / "log.jsonl").write_bytes(line())
    done = assay("utterances", tmp_path / "log.jsonl")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "the database does not answer" in done.err
    assert "hidden-password" not in done.err


def test_killed_in_the_middle_and_run_again(clean_database_url: str, tmp_path: Path, redis_url: str) -> None:
    """Nothing is lost and nothing is there twice; what the killed run committed is found again."""
    file = tmp_path / "log.jsonl"
    total = 60_000
    with file.open("wb") as log:
        for number in range(total):
            log.write(line(f"u{number}", f"utterance number {number}"))
    command = [sys.executable, "-m", "plugin.cli", "ingest", "utterances", str(file), "--json"]
    environment = {**os.environ, "ASSAY_DATABASE_URL": clean_database_url, "ASSAY_BROKER_URL": redis_url}
    engine = make_engine(clean_database_url)
    transaction = transaction_maker(engine)

    def committed() -> int:
        with transaction() as session:
            return session.scalar(text("SELECT count(*) FROM utterances")) or 0

    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None and committed() == 0:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = committed()
    assert 0 < before < total
    assert before % 8192 == 0
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    summary = json.loads(done.stdout)
    assert (summary["unchanged"], summary["new"], summary["changed"]) == (before, total - before, 0)
    with transaction() as session:
        distinct = session.scalar(text("SELECT count(DISTINCT external_id) FROM utterances"))
        assert distinct == session.scalar(text("SELECT count(*) FROM utterances")) == total
        assert session.scalar(text("SELECT count(*) FROM utterance_revisions")) == 0
    engine.dispose()
    with redis.Redis.from_url(redis_url) as client:
        client.delete("scoring")

from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plugin.formats.files import FileFormat, Parsed, open_records, read_json_lines
from plugin.formats.json_lines import decode
from plugin.formats.record import LabelledUtterance, RecordError, parse_gold, parse_utterance
from plugin.formats.source import KEPT_OF_LONG_LINE, MAX_LINE_BYTES, UnreadableFileError
from plugin.formats.tables import MAX_CSV_RECORD_BYTES
from plugin.records import Hypothesis, Slot, Utterance


def line(number: int, **changes: Any) -> bytes:
    return json.dumps({"id": f"u{number}", "locale": "en", "text": f"play song {number}", **changes}).encode()


def read(path: Path, file_format: FileFormat | None = None) -> list[Parsed[Utterance]]:
    with open_records(path, parse_utterance, file_format) as reader:
        return list(reader)


def read_bytes(data: bytes) -> list[Parsed[Utterance]]:
    return list(read_json_lines(io.BytesIO(data), parse_utterance))


def ids(parsed: list[Parsed[Utterance]]) -> list[str | None]:
    return [item.record.id if item.record else None for item in parsed]


def reasons(parsed: list[Parsed[Utterance]]) -> dict[int, str]:
    return {item.line: str(item.error) for item in parsed if item.error}


def test_json_lines_with_bom_crlf_blank_lines_and_no_last_newline() -> None:
    data = b"\xef\xbb\xbf" + line(1) + b"\r\n\r\n  \n" + line(2) + b"\r\n" + line(3)
    parsed = read_bytes(data)
    assert [(item.line, item.record and item.record.id) for item in parsed] == [(1, "u1"), (4, "u2"), (5, "u3")]
    assert parsed[1].raw == line(2)
    assert len({item.content_hash for item in parsed}) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"id": "a"} {}', "not JSON"),
        (b'{"id": NaN}', "not JSON: NaN is not a number that JSON has"),
        (b'{"id": "\xff"}', "not UTF-8: byte 0xff at position 8"),
        (b"\xff\xfe{\x00", "not UTF-8: byte 0xff at position 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"id": ' + b"9" * 5000 + b"}", "not JSON that can be read"),
        (b"[1]", "a record must be a JSON object, not a list"),
        (line(1, nlu_score=2), "nlu_score: must lie in [0, 1], not 2"),
        (line(1, text="\ud800"), "text: must not contain NUL or lone surrogates"),
        (b'{"id":"a","locale":"en","text":"x","id":"b"}', 'the key "id" comes twice'),
        (b'{"id":"a","locale":"en","text":"x","id" :"b"}', 'the key "id" comes twice'),
        (b'{"id" : "a" , "locale"\t:"en","text":"x","id":"b"}', 'the key "id" comes twice'),
        (b'{"id":"a","locale":"en","text":"x","\\u0069d":"b"}', 'the key "id" comes twice'),
        (
            b'{"id":"a","locale":"en","text":"x","hypothesis":{"domain":"a","intent":"b","domain":"c"}}',
            'the key "domain" comes twice',
        ),
    ],
    ids=lambda value: value[:20].decode(errors="replace") if isinstance(value, bytes) else None,
)
def test_a_bad_line_is_named_and_the_rest_is_read(bad: bytes, reason: str) -> None:
    parsed = read_bytes(line(8) + b"\n" + bad + b"\n" + line(9) + b"\n")
    assert ids(parsed) == ["u8", None, "u9"]
    assert reason in str(parsed[1].error)
    assert (parsed[1].line, parsed[1].raw) == (2, bad)


@pytest.mark.parametrize("text", ['say ": now', 'a ":" b', '" x', '\\": ', '"', 'tab":\t'])
def test_quotes_and_colons_in_a_text_are_no_keys(text: str) -> None:
    assert decode(json.dumps({"id": text, "x_y": {"z": text}}).encode()) == {"id": text, "x_y": {"z": text}}


def test_an_overlong_line_is_rejected_with_its_beginning_only() -> None:
    long = line(1, text="a" * (3 * MAX_LINE_BYTES))
    parsed = read_bytes(long + b"\n" + line(2))
    assert ids(parsed) == [None, "u2"]
    assert parsed[0].raw == long[:KEPT_OF_LONG_LINE]
    assert "longer than" in reasons(parsed)[1]
    assert parsed[1].line == 2


def test_a_line_of_exactly_the_limit_is_read() -> None:
    record = line(1)
    assert ids(read_bytes(record + b" " * (MAX_LINE_BYTES - len(record)) + b"\n" + line(2))) == ["u1", "u2"]


class _EndlessLine(io.RawIOBase):
    """256 MiB without a line end, made while it is read."""

    def __init__(self) -> None:
        self.left = 1 << 28

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self.left)
        buffer[:size] = b"a" * size
        self.left -= size
        return size


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    tracemalloc.start()
    parsed = list(read_json_lines(io.BufferedReader(_EndlessLine()), parse_utterance))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "longer than" in reasons(parsed)[1]
    assert peak < 8 * MAX_LINE_BYTES


def test_the_same_id_twice() -> None:
    parsed = read_bytes(b"\n".join([line(1), line(2), line(1), line(1, text="other"), line(1)]))
    assert ids(parsed) == ["u1", "u2", "u1", None, "u1"]
    assert [item.repeated for item in parsed] == [False, False, True, False, True]
    assert reasons(parsed) == {4: "id: came before in this file with other content; the first one counts"}


def test_gzip_is_recognised_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(gzip.compress(line(1) + b"\n" + line(2)))
    assert ids(read(path)) == ["u1", "u2"]


def test_a_gzip_file_cut_short_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    whole = gzip.compress(b"\n".join(line(number) for number in range(5000)))
    path.write_bytes(whole[: len(whole) // 2])
    *good, last = read(path)
    assert len(good) > 1000
    assert all(item.record for item in good)
    assert "damaged or cut short" in str(last.error)
    assert last.line == len(good) + 1


def test_a_gzip_file_with_a_wrong_checksum_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    whole = bytearray(gzip.compress(line(1) + b"\n"))
    whole[-6] ^= 0xFF
    path.write_bytes(whole)
    assert "damaged or cut short" in str(read(path)[-1].error)


def test_progress_counts_stored_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(line(number) for number in range(100))))
    with open_records(path, parse_utterance) as reader:
        assert reader.bytes_total == path.stat().st_size
        assert len(list(reader)) == 100
        assert reader.bytes_read == reader.bytes_total


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(line(1) + b"\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    with open_records("-", parse_utterance) as reader:
        assert (reader.name, reader.bytes_total) == ("standard input", None)
        assert [item.record and item.record.id for item in reader] == ["u1"]
    assert not stdin.buffer.closed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.jsonl", "cannot read .*absent.jsonl: No such file"),
        ("folder.jsonl", "cannot read .*folder.jsonl: Is a directory"),
        ("notes.txt", "must end in .jsonl"),
        ("absent.parquet", "cannot read .*absent.parquet"),
        ("broken.parquet", "cannot read .*broken.parquet"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(UnreadableFileError, match=message):
        read(tmp_path / name)


def test_parquet_needs_a_file() -> None:
    with pytest.raises(UnreadableFileError, match="standard input"):
        open_records("-", parse_utterance, FileFormat.PARQUET)


HEADER = b"id,locale,text,domain,intent,slots,nlu_score,domain_scores,defect,occurred_at,x_car"
ROW = b'u1,en,"play abba, please",music,play,"[[5,9,""artist""]]",0.4,"{""music"":0.5}",TRUE,2026-03-01T08:30:00Z,vw'
FULL = Utterance(
    "u1",
    "en",
    "play abba, please",
    Hypothesis("music", "play", (Slot(5, 9, "artist"),)),
    0.4,
    {"music": 0.5},
    True,
    datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
)


def csv_file(tmp_path: Path, *rows: bytes, header: bytes = HEADER) -> Path:
    path = tmp_path / "log.csv"
    path.write_bytes(b"\r\n".join([header, *rows]) + b"\r\n")
    return path


def test_csv_reads_every_column(tmp_path: Path) -> None:
    parsed = read(csv_file(tmp_path, ROW, b"", b"u2,en,stop,,,,,,,,"))
    assert [item.record for item in parsed] == [FULL, Utterance("u2", "en", "stop")]
    assert [item.line for item in parsed] == [2, 4]
    assert parsed[0].raw == ROW


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"u2,en,stop", "the row has 3 fields, the header 11"),
        (b"u2,en,stop,music,,,,,,,", "hypothesis.intent: is missing"),
        (b'u2,en,stop,music,play,"[[0,9,""a""]]",,,,,', "hypothesis.slots[0]: span 0:9"),
        (b"u2,en,stop,music,play,[[,,,,,", "slots: is text and not JSON"),
        (b"u2,en,stop,,,,high,,,,", 'nlu_score: must be a number, not "high"'),
        (b"u2,en,stop,,,,nan,,,,", "nlu_score: must lie in [0, 1], not NaN"),
        (b"u2,en,stop,,,,,,perhaps,,", "defect: must be true or false"),
        (b"u2,en,,,,,,,,,", "text: is missing"),
        (b"u2,en,st\xffop,,,,,,,,", "not UTF-8: byte 0xff"),
        (b'u2,en,"st"op,,,,,,,,', "not CSV"),
        (b'u2,en,"never closed,,,,,,,,', "not CSV"),
        (b'u2,en,"' + b"a" * (MAX_CSV_RECORD_BYTES + 9) + b'",,,,,,,,', "not CSV"),
        (b'u2,en,"' + b"a" * (MAX_LINE_BYTES + 9) + b'",,,,,,,,', "longer than"),
    ],
)
def test_a_bad_csv_row_is_named_and_the_rest_is_read(tmp_path: Path, row: bytes, reason: str) -> None:
    good = [f"v{number},en,text {number},,,,,,,,".encode() for number in range(50)]
    parsed = read(csv_file(tmp_path, ROW, row, *good))
    assert reason in reasons(parsed)[3]
    assert [name for name in ids(parsed) if name] == ["u1", *(f"v{number}" for number in range(50))]
    assert parsed[1].raw == row[: len(parsed[1].raw)]
    assert [item.line for item in parsed] == list(range(2, 54))


def test_a_csv_field_may_hold_lines(tmp_path: Path) -> None:
    path = csv_file(tmp_path, b'u1,en,"one\n\ntwo"', b"u2,en,three", header=b"id,locale,text")
    parsed = read(path)
    assert [item.record and item.record.text for item in parsed] == ["one\n\ntwo", "three"]
    assert [item.line for item in parsed] == [2, 5]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"id,text", "lacks locale"),
        (b"id;locale;text", "separated by commas"),
        (b"id,locale,text,nlu", "column 'nlu' is not one of"),
        (b"id,locale,text,id", "column 'id' comes twice"),
        (b"", "lacks id, locale, text"),
    ],
)
def test_a_bad_header_is_an_error_of_the_file(tmp_path: Path, header: bytes, message: str) -> None:
    with pytest.raises(UnreadableFileError, match=message):
        read(csv_file(tmp_path, b"1,2,3", header=header))


def test_gold_csv(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("id,locale,text,label_domain,label_intent,label_slots,partition\n1,en,hi,chat,greet,,test\n")
    with open_records(path, parse_gold) as reader:
        assert [item.record for item in reader] == [
            LabelledUtterance("1", "en", "hi", Hypothesis("chat", "greet"), "test")
        ]


def write_parquet(path: Path, *rows: dict[str, Any], **types: pa.DataType) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: pa.array([row.get(name) for row in rows], types.get(name)) for name in names})
    pq.write_table(table, path)
    return path


ROWS: dict[str, Any] = {
    "id": "u1",
    "locale": "en",
    "text": "play abba, please",
    "domain": "music",
    "intent": "play",
    "nlu_score": 0.4,
    "defect": True,
}
SLOT_STRUCTS = pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "label": pa.string()}))


def test_parquet_with_its_own_types(tmp_path: Path) -> None:
    row = {
        **ROWS,
        "slots": [{"start": 5, "end": 9, "label": "artist"}],
        "domain_scores": [("music", 0.5)],
        "occurred_at": datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    }
    path = write_parquet(
        tmp_path / "log.parquet",
        row,
        {"id": "u2", "locale": "en", "text": "stop"},
        slots=SLOT_STRUCTS,
        domain_scores=pa.map_(pa.string(), pa.float64()),
        occurred_at=pa.timestamp("ns", "UTC"),
    )
    parsed = read(path)
    assert [item.record for item in parsed] == [FULL, Utterance("u2", "en", "stop")]
    assert [item.line for item in parsed] == [1, 2]


def test_parquet_with_json_text(tmp_path: Path) -> None:
    row = {
        **ROWS,
        "slots": '[[5, 9, "artist"]]',
        "domain_scores": '{"music": 0.5}',
        "occurred_at": "2026-03-01T09:30:00+01:00",
    }
    assert [item.record for item in read(write_parquet(tmp_path / "log.parquet", row))] == [FULL]


def test_bad_parquet_rows(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "u1", "locale": "en", "text": "a", "nlu_score": float("nan")},
        {"id": "u2", "locale": "en", "text": "b", "occurred_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"id": "u3", "locale": "en", "text": "c"},
    ]
    parsed = read(write_parquet(tmp_path / "log.parquet", *rows, occurred_at=pa.timestamp("us")))
    assert ids(parsed) == [None, None, "u3"]
    assert "must lie in [0, 1], not NaN" in reasons(parsed)[1]
    assert "needs a time zone" in reasons(parsed)[2]
    assert json.loads(parsed[1].raw)["text"] == "b"


def test_parquet_text_that_is_not_utf8_spoils_only_its_row(tmp_path: Path) -> None:
    offsets = pa.py_buffer(b"".join(number.to_bytes(4, "little") for number in (0, 1, 3)))
    text = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"a\xff\xff"))
    pq.write_table(pa.table({"id": ["u1", "u2"], "locale": ["en", "en"], "text": text}), tmp_path / "log.parquet")
    parsed = read(tmp_path / "log.parquet")
    assert ids(parsed) == ["u1", None]
    assert reasons(parsed)[2] == "not UTF-8"


def test_a_parquet_column_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="column 'words'"):
        read(write_parquet(tmp_path / "log.parquet", {"id": "1", "locale": "en", "text": "a", "words": 1}))


def test_errors_are_record_errors_of_the_field() -> None:
    error = read_bytes(line(1, hypothesis={"domain": "music"}))[0].error
    assert isinstance(error, RecordError)
    assert (error.field, error.reason) == ("hypothesis.intent", "is missing")

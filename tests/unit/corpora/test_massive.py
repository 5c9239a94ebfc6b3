from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from plugin.corpora.massive import parse_massive, slot_spans
from plugin.corpora.readers import read_corpus
from plugin.formats.record import LabelledUtterance, RecordError, gold_to_json
from plugin.records import Hypothesis, Slot

# Written for these tests in MASSIVE's form.
LINES = [
    ("en-US", "wake me at nine am on friday", "wake me at [time : nine am] on [date : friday]"),
    ("th-TH", "ปลุกฉัน ตอน เก้าโมงเช้า วันศุกร์", "ปลุกฉัน ตอน [time : เก้าโมงเช้า] [date : วันศุกร์]"),
    ("th-TH", "เปิดเพลงของลิซ่า", "เปิดเพลงของ[artist_name : ลิซ่า]"),
    ("ur-PK", "مجھے جمعہ کو صبح نو بجے جگاؤ", "مجھے [date : جمعہ] کو [time : صبح نو بجے] جگاؤ"),
    ("te-IN", "శుక్రవారం ఉదయం తొమ్మిది గంటలకు", "[date : శుక్రవారం] [timeofday : ఉదయం] [time : తొమ్మిది గంటలకు]"),
    ("ja-JP", "金曜日の九時に起こして", "[date : 金曜日]の[time : 九時]に起こして"),
    ("en-US", "play  abba 😀 loud", "play [artist_name :  abba 😀 ] loud"),
]
VALUES = [
    [("time", "nine am"), ("date", "friday")],
    [("time", "เก้าโมงเช้า"), ("date", "วันศุกร์")],
    [("artist_name", "ลิซ่า")],
    [("date", "جمعہ"), ("time", "صبح نو بجے")],
    [("date", "శుక్రవారం"), ("timeofday", "ఉదయం"), ("time", "తొమ్మిది గంటలకు")],
    [("date", "金曜日"), ("time", "九時")],
    [("artist_name", "abba 😀")],
]


def row(**changes: Any) -> dict[str, Any]:
    obj = {
        "id": "7",
        "locale": "en-US",
        "partition": "train",
        "scenario": "alarm",
        "intent": "alarm_set",
        "utt": LINES[0][1],
        "annot_utt": LINES[0][2],
        "worker_id": "3",
        **changes,
    }
    return {name: value for name, value in obj.items() if value is not None}


@pytest.mark.parametrize(("line", "values"), list(zip(LINES, VALUES, strict=True)), ids=[line[0] for line in LINES])
def test_slots_are_spans_of_the_text(line: tuple[str, str, str], values: list[tuple[str, str]]) -> None:
    locale, text, annotated = line
    read = parse_massive(row(locale=locale, utt=text, annot_utt=annotated))
    assert read.text == text
    assert [(slot.label, text[slot.start : slot.end]) for slot in read.label.slots] == values


def test_a_row() -> None:
    label = Hypothesis("alarm", "alarm_set", (Slot(11, 18, "time"), Slot(22, 28, "date")))
    assert parse_massive(row()) == LabelledUtterance("en-US/7", "en-US", LINES[0][1], label, "train")


def test_white_space_may_differ() -> None:
    assert slot_spans("play  abba", "play [artist : abba]") == [(6, 10, "artist")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"utt": "wake me"}, "not the same text as utt"),
        ({"annot_utt": "wake me at [time : nine am] on [date : friday"}, "not the same text as utt"),
        ({"annot_utt": "[time : ]" + LINES[0][1]}, "marks an empty slot time"),
        ({"annot_utt": None}, "annot_utt: is missing"),
        ({"utt": 3}, "utt: must be a string"),
        ({"scenario": None}, "label.domain: is missing"),
        ({"intent": " "}, "label.intent: must not be blank"),
        ({"locale": "english"}, "locale: must be a language tag"),
    ],
)
def test_bad_rows(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        parse_massive(row(**changes))


def test_a_file_gives_the_locale_that_its_rows_lack(tmp_path: Path) -> None:
    path = tmp_path / "sw-KE.jsonl.gz"
    rows = [row(id=str(number), locale=None, partition=part) for number, part in enumerate(["train", "dev", "test"])]
    broken = json.dumps(row(id="9", utt="other"))
    path.write_bytes(gzip.compress("\n".join([*map(json.dumps, rows), broken]).encode()))
    corpus = read_corpus(path)
    assert [(row.id, row.partition) for row in corpus.utterances] == [
        ("sw-KE/0", "train"),
        ("sw-KE/1", "dev"),
        ("sw-KE/2", "test"),
    ]
    assert [line for line, _ in corpus.rejected] == [4]


def test_gold_records_are_a_corpus_too(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    rows = [LabelledUtterance(str(number), "en", f"song {number}", Hypothesis("music", "play")) for number in range(3)]
    path.write_text("".join(json.dumps(gold_to_json(row)) + "\n" for row in [*rows, rows[0]]))
    seen: list[tuple[int, int | None]] = []
    corpus = read_corpus(path, lambda done, total: seen.append((done, total)))
    assert corpus.utterances == rows
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)

"""The examples of docs/record-format.md are what the readers read."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from plugin.formats.files import open_records
from plugin.formats.record import GOLD_FIELDS, RecordError, parse_gold, parse_utterance
from plugin.formats.rejects import RejectWriter
from plugin.formats.tables import GOLD_COLUMNS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "record-format.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)\n *```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


def test_the_examples_are_records() -> None:
    log, gold, _ = (json.loads(block) for block in blocks("json"))
    utterance = parse_utterance(log)
    assert utterance.hypothesis == parse_gold(gold).label
    assert [utterance.text[slot.start : slot.end] for slot in parse_gold(gold).label.slots] == [
        "saa kumi na moja",
        "kesho",
    ]
    with pytest.raises(RecordError, match="belongs to gold"):
        parse_utterance(gold)


def test_the_csv_example_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(blocks("csv")[0])
    with open_records(path, parse_utterance) as reader:
        assert [parsed.error for parsed in reader] == [None]


def test_the_reject_example_has_the_writers_fields(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectWriter(path) as rejects:
        rejects.write("log.jsonl", 42, RecordError("id", "is missing"), b"{}")
    assert list(json.loads(blocks("json")[2])) == list(json.loads(path.read_text()))


@pytest.mark.parametrize("name", sorted({*GOLD_FIELDS, *GOLD_COLUMNS}))
def test_every_field_and_column_is_described(name: str) -> None:
    assert f"`{name}`" in DOCUMENT


def test_the_first_example_is_one_line_as_the_format_wants() -> None:
    assert len(list(io.StringIO(blocks("json")[0]))) == 1

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from plugin.formats.record import RecordError
from plugin.formats.rejects import RejectWriter, rejects_path


def entries(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_entries_say_where_why_and_what(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.rejects.jsonl"
    with RejectWriter(path) as rejects:
        rejects.write("log.jsonl", 3, RecordError("nlu_score", "must lie in [0, 1], not 2"), '{"é": 2}'.encode())
        rejects.write("log.jsonl", 7, RecordError("", "not UTF-8 \udcff"), b"\xff{")
        assert not path.exists()
    assert rejects.count == 2
    assert entries(path) == [
        {
            "source": "log.jsonl",
            "line": 3,
            "field": "nlu_score",
            "reason": "must lie in [0, 1], not 2",
            "raw": '{"é": 2}',
        },
        {
            "source": "log.jsonl",
            "line": 7,
            "field": "",
            "reason": "not UTF-8 \udcff",
            "raw_base64": base64.b64encode(b"\xff{").decode(),
        },
    ]
    assert "é" in path.read_text("utf-8")
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_failed_run_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "log.rejects.jsonl"
    path.write_text("earlier")

    def interrupted() -> None:
        with RejectWriter(path) as rejects:
            rejects.write("log.jsonl", 1, RecordError("", "bad"), b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_clean_run_removes_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "log.rejects.jsonl"
    path.write_text("earlier")
    with RejectWriter(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_default_names(tmp_path: Path) -> None:
    assert rejects_path("logs/a.jsonl.gz") == Path("logs/a.jsonl.gz.rejects.jsonl")
    assert rejects_path("logs/a.csv", tmp_path) == tmp_path / "a.csv.rejects.jsonl"
    assert rejects_path("-") == Path("stdin.rejects.jsonl")

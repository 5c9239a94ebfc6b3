from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from plugin.cli.data import app
from plugin.cli.errors import CliError
from plugin.formats.files import open_records
from plugin.formats.record import parse_gold, parse_utterance

SMALL = ["--trusted", "200", "--dev", "50", "--test", "100"]
FILES = {"about.json", "pool.jsonl", "truth.jsonl", "gold-train.jsonl", "gold-dev.jsonl", "gold-test.jsonl"}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def ml(monkeypatch: pytest.MonkeyPatch, fake_trainer: Any) -> Any:
    """In place of torch, which has tests of its own."""
    module = ModuleType("plugin.wiring_ml")
    module.trainer = lambda _: fake_trainer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugin.wiring_ml", module)
    return fake_trainer


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "demo.jsonl"
    result = run("demo-corpus", "--output", path, "--size", 800, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["utterances"] == 800
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_complete_and_readable(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wsl"
    result = run("simulate-wsl", corpus, "--output", folder, *SMALL, "--json")
    assert result.exit_code == 0, result.output
    about = json.loads(result.stdout)
    assert set(contents(folder)) == FILES
    assert json.loads((folder / "about.json").read_text()) == about
    assert about["files"] == {
        "pool.jsonl": 450,
        "truth.jsonl": 450,
        "gold-train.jsonl": 200,
        "gold-dev.jsonl": 50,
        "gold-test.jsonl": 100,
    }
    with open_records(folder / "pool.jsonl", parse_utterance) as pool:
        assert all(parsed.record for parsed in pool)
    for name in FILES - {"about.json", "pool.jsonl"}:
        with open_records(folder / name, parse_gold) as gold:
            assert sum(parsed.record is not None for parsed in gold) == about["files"][name]


def test_the_same_arguments_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        assert run("simulate-wsl", corpus, "--output", folder, *SMALL, "--until", "2026-03-01").exit_code == 0
    assert contents(first) == contents(second)


def test_a_finished_folder_is_left_as_it_is(corpus: Path, tmp_path: Path, ml: Any) -> None:
    folder = tmp_path / "wsl"
    for _ in range(2):
        assert run("simulate-wsl", corpus, "--output", folder, *SMALL).exit_code == 0
    assert len(ml.calls) == 1
    assert run("simulate-wsl", corpus, "--output", folder, *SMALL, "--seed", 1).exit_code == 0
    assert run("simulate-wsl", corpus, "--output", folder, *SMALL, "--seed", 1, "--force").exit_code == 0
    assert [seed for _, _, seed in ml.calls] == [0, 1, 1]


def test_an_unfinished_folder_is_made_again(corpus: Path, tmp_path: Path, ml: Any) -> None:
    folder = tmp_path / "wsl"
    run("simulate-wsl", corpus, "--output", folder, *SMALL)
    before = contents(folder)
    (folder / "truth.jsonl").unlink()
    (folder / ".pool.jsonl.123").touch()
    assert run("simulate-wsl", corpus, "--output", folder, *SMALL).exit_code == 0
    assert {name: data for name, data in contents(folder).items() if not name.startswith(".")} == before
    assert len(ml.calls) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate-wsl", "absent.jsonl", "--output", "out"], "cannot read absent.jsonl: No such file"),
        (["simulate-wsl", "empty.jsonl", "--output", "out"], "empty.jsonl has no labelled utterance"),
        (["simulate-wsl", "notes.txt", "--output", "out"], "must end in .jsonl"),
        (["simulate-wsl", "empty.jsonl", "--output", "full"], "full holds other files .mine.txt."),
        (["simulate-wsl", "empty.jsonl", "--output", "notes.txt"], "notes.txt is a file"),
        (["demo-corpus", "--output", "notes.txt/demo.jsonl"], "cannot write notes.txt/demo.jsonl"),
        (["demo-corpus", "--output", "x.jsonl", "--locale", "xx"], "no sentence templates for 'xx'"),
        (["demo-corpus"], "--output FILE"),
    ],
)
def test_errors_say_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    error = run(*arguments).exception
    assert isinstance(error, CliError)
    with pytest.raises(CliError, match=message):
        raise error


def test_rows_that_cannot_be_used_are_counted(corpus: Path, tmp_path: Path) -> None:
    with corpus.open("a") as file:
        file.write("not json\n")
    result = run("simulate-wsl", corpus, "--output", tmp_path / "wsl", *SMALL)
    assert result.exit_code == 0
    assert "1 rows of" in result.stderr
    assert "line 801: not JSON" in " ".join(result.stderr.split())
    assert "of the pool" in result.stdout


def test_locales_can_be_listed() -> None:
    result = run("demo-corpus", "--list", "--json")
    assert result.exit_code == 0
    assert {"locale": "en"}.items() <= max(json.loads(result.stdout), key=lambda entry: entry["locale"] == "en").items()
    assert "sw" in run("demo-corpus", "--list").stdout


def test_a_corpus_that_no_model_can_learn_from_is_one_line(
    corpus: Path, tmp_path: Path, ml: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("training example 'u1' has an empty text: remove it")

    monkeypatch.setattr(ml, "train", refuse)
    error = run("simulate-wsl", corpus, "--output", tmp_path / "wsl", *SMALL).exception
    assert isinstance(error, CliError)
    assert str(error) == f"cannot simulate with {corpus}: training example 'u1' has an empty text: remove it"
    assert not (tmp_path / "wsl").exists()


def test_a_row_without_anything_to_read_is_left_out(corpus: Path, tmp_path: Path) -> None:
    row = json.loads(corpus.read_text().splitlines()[0])
    row["label"]["slots"] = []
    with corpus.open("a") as file:
        file.write(json.dumps(row | {"id": "unseen", "text": "\u200b"}) + "\n")
    result = run("simulate-wsl", corpus, "--output", tmp_path / "wsl", *SMALL)
    assert result.exit_code == 0
    assert "line 801: text: has nothing that can be read" in " ".join(result.stderr.split())


@pytest.mark.parametrize("until", ["0001-01-01", "1970-01-30"])
def test_a_log_cannot_begin_before_1970(corpus: Path, tmp_path: Path, ml: Any, until: str) -> None:
    error = run("simulate-wsl", corpus, "--output", tmp_path / "wsl", *SMALL, "--until", until).exception
    assert isinstance(error, CliError)
    assert "the log would begin before 1970" in str(error)
    assert not ml.calls

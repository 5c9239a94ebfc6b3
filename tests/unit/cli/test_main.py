"""What a person reads when a command fails: one line, without SQL and without the values of a row."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError, StatementError

from plugin.cli import main, status

SQL = "SELECT * FROM utterances WHERE id = %(id)s"
ROW = {"id": 99999999999999999999, "text": "call my doctor"}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            DataError(SQL, ROW, psycopg.errors.NumericValueOutOfRange("bigint out of range\nCONTEXT: unnamed")),
            "the database cannot take a value that was given: bigint out of range",
        ),
        (
            IntegrityError(SQL, ROW, psycopg.errors.UniqueViolation("duplicate key\nDETAIL: Key (text)=(call)")),
            "the database refused it: duplicate key",
        ),
        (
            ProgrammingError(SQL, ROW, psycopg.errors.InsufficientPrivilege("permission denied for table runs")),
            "the database refused it: permission denied for table runs",
        ),
        (StatementError("bad value", SQL, ROW, ValueError("year is out of range")), "refused it: year is out of range"),
        (SQLAlchemyError("pool limit reached"), "refused it: pool limit reached"),
    ],
)
def test_a_database_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, line: str
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(main, "app", fails)
    with pytest.raises(SystemExit) as exit_:
        main.run()
    said = capsys.readouterr().err
    assert exit_.value.code == 1
    assert said.endswith(f"{line}\n")
    assert said.count("\n") == 1
    assert "SELECT" not in said
    assert "doctor" not in said


def test_an_error_of_a_run_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    run = {"id": 7, "locale": "sw-KE", "state": "failed", "error": "KeyError: 'slot [/red] is new [bold]'"}
    status.show(
        {
            "parts": [], "models": [], "utterances": {"by_locale": {}}, "queues": [], "annotations": {"accept": 0},
            "gold": {"test[/x]": 1}, "runs": [run], "lags": {"unhandled_webhooks": 0},
        }
    )  # fmt: skip
    shown = " ".join(capsys.readouterr().out.split())
    assert "gold: 1 test[/x]" in shown
    assert f"run 7 (sw-KE): failed: {run['error']}" in shown


def test_the_reason_why_there_is_no_database_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    status.show({"parts": [], "error": "no database: [/tmp/socket] is not there"})
    assert "no database: [/tmp/socket] is not there" in " ".join(capsys.readouterr().out.split())

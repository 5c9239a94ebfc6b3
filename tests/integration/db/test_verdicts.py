"""Verdicts: put twice equals once, and the newest finished run speaks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import TestSet, TrainingRun
from db.repositories import evaluations, verdicts
from db.repositories.verdicts import Verdict

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def finished_run(session: Session, **changed: Any) -> tuple[TrainingRun, TestSet]:
    values = {"locale": "en-US", "test_set": "test", "trigger": "command", "requested_by": "me", "seed": 0}
    run = evaluations.add_run(session, **{**values, "code_version": "1", "state": "done", **changed})
    test_set = TestSet(name="test", locale="en-US", content_hash=f"hash {run.id}", size=100)
    session.add(test_set)
    session.flush()
    return run, test_set


def verdict(arm: str = "entropy", **changed: Any) -> Verdict:
    known = {"domain": "*", "metric": "dcer", "control": "random", "n": 100, "seeds": 6, "state": "no difference"}
    return Verdict(**{**known, "arm": arm, "sentence": "entropy: no difference", **changed})


def test_what_was_put_last_holds(session: Session) -> None:
    run, test_set = finished_run(session)
    verdicts.put(session, run.id, test_set.id, run.locale, [verdict(), verdict("el2n")])
    verdicts.put(session, run.id, test_set.id, run.locale, [verdict(difference=-0.02), verdict(domain="weather")])
    found = verdicts.of_run(session, run.id)
    assert [(row.domain, row.arm, row.difference) for row in found] == [
        ("*", "entropy", -0.02),
        ("weather", "entropy", None),
    ]


def test_the_newest_finished_run_with_verdicts_speaks(session: Session) -> None:
    older, its_set = finished_run(session, finished_at=NOW)
    verdicts.put(session, older.id, its_set.id, older.locale, [verdict()])
    finished_run(session)
    running, test_set = finished_run(session, state="running")
    verdicts.put(session, running.id, test_set.id, running.locale, [verdict()])
    assert [row.run_id for row in verdicts.newest(session, "en-US")] == [older.id]
    assert verdicts.newest(session, "en-US", before=NOW) == []
    assert [row.run_id for row in verdicts.history(session, "en-US", "dcer", domain="*")] == [older.id]
    assert verdicts.history(session, "en-US", "dcer", domain="weather") == []


@pytest.mark.parametrize(
    "wrong",
    [{"state": "great"}, {"metric": "DCER"}, {"arm": "random"}, {"ci_low": 1.0, "ci_high": 0.0}, {"p_holm": 1.1}],
)
def test_what_is_no_verdict_is_refused(session: Session, wrong: dict[str, Any]) -> None:
    run, test_set = finished_run(session)
    with pytest.raises(IntegrityError):
        verdicts.put(session, run.id, test_set.id, run.locale, [verdict(**wrong)])

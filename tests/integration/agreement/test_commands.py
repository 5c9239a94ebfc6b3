"""assay selection agreement, and what assay status says of second opinions."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from plugin.cli import agreement as cli
from plugin.cli import output
from plugin.cli.main import app
from plugin.services.status import status
from tests.integration.agreement.conftest import INSTANCE, Team, accept, volume


class Here:
    """The wiring, as far as the commands need it."""

    instance = INSTANCE

    def __init__(self, team: Team) -> None:
        self.transaction = team.transaction


@pytest.fixture
def run(team: Team, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr(cli, "get_wiring", lambda: Here(team))
    return CliRunner()


def two_of_three_agree(team: Team) -> None:
    team.begin(4)
    for _ in range(3):
        team.answer(0)
    team.collect()
    for say in (accept, accept, volume):
        team.answer(1, "second", say)
    team.collect()


def test_agreement_as_json(team: Team, run: CliRunner) -> None:
    two_of_three_agree(team)
    outcome = run.invoke(app, ["selection", "agreement", "--json"])
    assert outcome.exit_code == 0, outcome.output
    [block] = json.loads(outcome.stdout)["locales"]
    assert block["overall"]["whole"]["value"] == pytest.approx(2 / 3)
    assert set(block["annotators"]) == set(team.emails[:2])


def test_agreement_as_tables(team: Team, run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output.console, "width", 200)
    two_of_three_agree(team)
    outcome = run.invoke(app, ["selection", "agreement", "--locale", "en-US"])
    assert outcome.exit_code == 0, outcome.output
    assert "0.67 [0.21, 0.94]" in outcome.output
    assert "domain music" in outcome.output
    assert "1 differ, 0 of these are adjudicated" in outcome.output
    assert all(email in outcome.output for email in team.emails[:2])


def test_before_there_is_any_it_says_what_to_look_at(team: Team, run: CliRunner) -> None:
    outcome = run.invoke(app, ["selection", "agreement"])
    assert "no utterance has two independent answers yet" in outcome.output


def test_it_says_what_waits_for_another_person(team: Team, run: CliRunner) -> None:
    team.begin(1)
    team.answer(0)
    team.collect()
    outcome = run.invoke(app, ["selection", "agreement"])
    assert f"1 task for a second opinion of somebody other than {team.emails[0]}" in " ".join(outcome.output.split())


def test_status_tells_the_kinds_of_queues_apart_and_what_waits(team: Team) -> None:
    two_of_three_agree(team)
    with team.transaction() as session:
        found = status(session, datetime.now(UTC))
    lines = {(queue["kind"], queue["domain"]): (queue["published"], queue["annotated"]) for queue in found["queues"]}
    assert lines == {("review", "music"): (4, 3), ("second", "*"): (3, 3), ("adjudication", "*"): (1, 0)}
    assert found["annotations"] == {"accept": 3, "fix": 0, "reject": 0}
    assert found["waiting"] == []

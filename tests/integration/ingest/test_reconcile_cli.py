from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from plugin.cli.ingest import app
from tests.integration.ingest.conftest import PLAY, Desk, Recorder, verdict

Reconcile = Callable[..., str]


@pytest.fixture
def wiring(clean_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url)
    monkeypatch.setattr("plugin.cli.ingest.get_wiring", lambda: recorder)
    yield recorder
    recorder.engine.dispose()


@pytest.fixture
def desks(wiring: Recorder) -> list[Desk]:
    """Two queues of one Label Studio."""
    music = Desk(wiring.transaction)
    weather = Desk(wiring.transaction, music.server)
    wiring.use(music.client)
    music.publish(2)
    weather.publish(1, title="Weather")
    return [music, weather]


@pytest.fixture
def reconcile(wiring: Recorder) -> Reconcile:
    def run(*options: str) -> str:
        result = CliRunner().invoke(app, ["reconcile", *options])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def table(output: str) -> list[list[str]]:
    """The rows of figures."""
    return [line.split() for line in output.splitlines() if line.split() and line.split()[0].isdigit()][:-1]


def test_only_the_projects_with_news_are_shown(desks: list[Desk], reconcile: Reconcile) -> None:
    music, _ = desks
    music.annotator.submit_annotation(music.task_ids[0], verdict("accept", PLAY))
    output = reconcile()
    assert table(output) == [[str(music.project_id), "1", "0", "0", "1", "0"]]
    assert output.splitlines()[-1] == "2 projects looked at, 1 with news"


def test_where_the_workers_have_collected_everything_one_line_says_so(desks: list[Desk], reconcile: Reconcile) -> None:
    reconcile()
    assert reconcile() == "2 projects looked at, nothing new since the workers' last look\n"
    one = reconcile("--project", str(desks[0].project_id))
    assert one == "1 project looked at, nothing new since the workers' last look\n"


def test_a_problem_is_told_even_where_nothing_is_new(desks: list[Desk], wiring: Recorder) -> None:
    music, _ = desks
    music.annotator.submit_annotation(music.task_ids[0], verdict("shrug", PLAY))
    result = CliRunner().invoke(app, ["reconcile"])
    assert "nothing new" in result.stdout
    assert f"project {music.project_id}: annotation" in result.stderr
    assert "unknown reason to reject 'shrug'" in result.stderr


def test_programs_are_told_of_every_project(desks: list[Desk], reconcile: Reconcile) -> None:
    music, weather = desks
    music.annotator.submit_annotation(music.task_ids[0], verdict("accept", PLAY))
    first, second = json.loads(reconcile("--json"))["projects"]
    nothing = {"updated": 0, "withdrawn": 0, "removed": 0, "problems": []}
    assert first == {"project_id": music.project_id, "new": 1, "annotated": 1, **nothing}
    assert second == {"project_id": weather.project_id, "new": 0, "annotated": 0, **nothing}

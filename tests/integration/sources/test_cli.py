from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from plugin.cli.errors import CliError
from plugin.cli.label_studio import app
from plugin.records import Hypothesis
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.ingest.conftest import Recorder
from tests.integration.sources.conftest import PLAY, TEXT_ONLY, FakeHands, House, Studio

MAP = (
    "--map", "text=data.utterance", "--map", "locale=data.lang", "--map", "domain=data.domain",
    "--map", "intent=data.intent", "--map", "slots=data.slots",
)  # fmt: skip
Run = Callable[..., Result]


@pytest.fixture
def wiring(clean_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url, webhook_base_url="http://127.0.0.1:9", webhook_secret=SecretStr("secret"))
    monkeypatch.setattr("plugin.cli.sources.get_wiring", lambda: recorder)
    monkeypatch.setattr("plugin.cli.output.console.width", 200)
    yield recorder
    recorder.engine.dispose()


@pytest.fixture
def studio(wiring: Recorder) -> Studio:
    server = FakeLabelStudio()
    client = server.client()
    wiring.use(client)
    return Studio(client, server.client("ann@example.org"), FakeHands(server))


@pytest.fixture
def house(wiring: Recorder, studio: Studio) -> House:
    return House(wiring.transaction, studio.client)


@pytest.fixture
def run(wiring: Recorder) -> Run:
    def invoke(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_dry_run_shows_the_first_tasks_and_counts_what_is_wrong_with_the_rest(
    run: Run, studio: Studio, wiring: Recorder
) -> None:
    project = studio.project()
    studio.add(project, "play thriller", **{**PLAY, "slots": [[5, 13, "song"]]})
    studio.add(project, *(f"play {number}" for number in range(6)), **PLAY)
    bad = studio.add(project, "", "", **PLAY)
    result = run("attach", project, *MAP, "--dry-run", code=3)
    assert "Nothing of it will enter a queue without nlu_score" in result.stderr
    output = result.stdout
    assert "music / music_play, song: thriller" in output
    assert "play 3" in output
    assert "play 4" not in output
    assert f"2 text: is missing {bad[0]}" in " ".join(output.split())
    counts = "9 tasks read, 7 can be taken, 7 with a hypothesis, 0 with a score"
    assert f"{counts}; reviews go back as: annotation domain=domain intent=intent slots=slots" in output
    assert f"project {project} is not attached: dry run" in output
    assert wiring.sent == []
    assert told(run("sources", "--json")) == []
    found = told(run("attach", project, *MAP, "--dry-run", "--json", code=3))
    assert (found["attached"], found["read"], found["usable"], found["rejected"]) == (False, 9, 7, 2)
    assert found["first"][0]["record"]["hypothesis"]["slots"] == [[5, 13, "song"]]
    assert found["problems"] == [{"reason": "text: is missing", "tasks": 2, "first_task": bad[0]}]


def test_attach_sync_list_and_detach(run: Run, studio: Studio, house: House, wiring: Recorder) -> None:
    project = studio.project(TEXT_ONLY)
    task, _ = studio.add(project, "rain?", "play", **PLAY)
    output = run("attach", project, *MAP).stdout
    assert f"project {project} is attached as the source label-studio-main-{project}" in output
    [line] = told(run("sources", "--json"))
    source = next(id_ for name, id_ in wiring.sent if name == "ingest.poll_source")
    assert (line["state"], line["age_s"], line["write_back"]) == ("being read", None, "data")
    assert studio.client.webhooks(project)[0].url == "http://127.0.0.1:9/webhooks/label-studio"

    [synced] = told(run("sync", "--json"))
    assert (synced["new"], synced["written"], synced["problem"]) == (2, 0, None)
    assert wiring.sent[-1][0] == "scoring.score_batch"
    house.review(source, task, "fix", Hypothesis("weather", "weather_query"))
    assert told(run("sync", project, "--json"))[0]["written"] == 1
    [line] = told(run("sources", "--json"))
    assert (line["locales"], line["utterances"], line["written"]) == (["en-US"], 2, 1)
    assert line["age_s"] < 60
    assert "Their project" in run("sources").stdout

    house.review(source, task, "fix", Hypothesis("weather", "rain"))
    assert "1 reviews were not written back yet" in run("detach", project).stdout
    assert studio.client.webhooks(project) == []
    [line] = told(run("sources", "--json"))
    assert (line["state"], line["utterances"]) == ("detached", 2)
    assert told(run("sync", "--json")) == []


def test_one_source_is_shown_with_its_map_and_its_problems(
    run: Run, studio: Studio, house: House, wiring: Recorder
) -> None:
    project = studio.project()
    task, rejected = studio.add(project, "hum", "", **PLAY)
    run("attach", project, *MAP, code=3)
    run("sync")
    source = next(id_ for name, id_ in wiring.sent if name == "ingest.poll_source")
    house.review(source, task, "fix", Hypothesis("music", "music_hum"))
    run("sync")
    output = " ".join(run("sources", project).stdout.split())
    assert "map: text=data.utterance locale=data.lang domain=data.domain" in output
    assert f"1 text: is missing {rejected}" in output
    assert f"1 the control 'intent' has no choice 'music_hum' {task}" in output
    found = told(run("sources", project, "--json"))
    assert found["problems"][0]["first_task"] == rejected
    assert found["not_written_because"][0]["first_task"] == task


def test_a_project_that_is_gone_is_told(run: Run, studio: Studio) -> None:
    project = studio.project()
    studio.add(project, "play", **PLAY)
    run("attach", project, *MAP)
    studio.hands.delete_project(project)
    problem = f"the project {project} is no longer in Label Studio"
    assert told(run("sync", "--json", code=1))[0]["problem"] == problem
    assert problem in run("sources").stderr


def test_a_webhook_that_label_studio_refuses_costs_nothing(
    run: Run, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio(ssrf_open="")
    project = studio.project()
    studio.add(project, "play", **PLAY)
    monkeypatch.setattr(studio.hands._server, "ssrf_open", server.ssrf_open)  # type: ignore[attr-defined]
    result = run("attach", project, *MAP)
    assert "is attached" in result.stdout
    assert "found within a minute all the same" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attach", "404", *MAP], "Label Studio has no project 404"),
        (["attach", "1", "--map", "text=utterance"], "write text=data.utterance"),
        (["detach", "1"], "the project 1 was never attached"),
        (["sources", "1"], "the project 1 was never attached"),
        (["sync", "1"], "the project 1 is not attached"),
    ],
)
def test_wrong_words_are_one_clear_line(studio: Studio, run: Run, words: list[str], message: str) -> None:
    assert studio.project() == 1
    result = run(*words, code=1)
    assert isinstance(result.exception, CliError)
    assert message in str(result.exception)


def test_nothing_attached_says_how(run: Run, studio: Studio) -> None:
    assert "No project is attached" in run("sources").stdout

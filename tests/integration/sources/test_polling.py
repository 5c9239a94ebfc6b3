"""Tasks of somebody else's project become utterances, and follow what people do there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db.models import SourceRow
from db.models.utterances import GONE, POOL
from db.repositories import overview, polls
from db.repositories import sources as source_rows
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads.sources import SourceTask
from plugin.services.ingest.intake import Summary
from plugin.services.sources import polling
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.integration.sources.conftest import MAPS, MUSIC, PLAY, House, Studio, said


def test_new_tasks_become_utterances_and_nothing_twice(house: House, studio: Studio) -> None:
    project = studio.project()
    ids = studio.add(project, "play jazz", "stop", **PLAY)
    source = house.attach(project)
    first = house.poll(source)
    assert first.taken.summary == Summary(read=2, new=2)
    assert len(first.taken.ids) == 2
    found = house.utterances(source)
    assert [(row.external_id, row.text, row.domain, row.revision) for row in found.values()] == [
        (str(ids[0]), "play jazz", "music", 1),
        (str(ids[1]), "stop", "music", 1),
    ]
    assert house.poll(source).taken.ids == []
    late = studio.add(project, "louder", **PLAY)
    assert house.poll(source).taken.summary.new == 1
    assert list(house.tasks(source)) == [*ids, *late]


def test_a_changed_task_is_a_new_revision_and_a_return_is_another(house: House, studio: Studio) -> None:
    project = studio.project()
    [task] = studio.add(project, "play jazz", **PLAY)
    source = house.attach(project)
    house.poll(source)
    for text, revision in (("play rock", 2), ("play jazz", 3)):
        studio.hands.edit(task, {"utterance": text, **PLAY})
        assert house.poll(source).taken.summary.changed == 1
        [row] = house.utterances(source).values()
        assert (row.text, row.revision) == (text, revision)


def test_deleted_tasks_leave_the_pool_however_many_came_meanwhile(house: House, studio: Studio) -> None:
    project = studio.project()
    ids = studio.add(project, "a", "b", "c", **PLAY)
    source = house.attach(project)
    house.poll(source)
    studio.hands.delete(project, ids[:2])
    assert house.poll(source).deleted == 2
    assert [row.partition for row in house.utterances(source).values()] == [GONE, GONE, POOL]
    studio.hands.delete(project, ids[2:])
    studio.add(project, "d", **PLAY)  # as many tasks as before
    polled = house.poll(source)
    assert (polled.deleted, polled.taken.summary.new) == (1, 1)
    assert [row.state for row in house.tasks(source).values()] == ["deleted"] * 3 + ["live"]
    assert house.poll(source).deleted == 0


def test_bad_tasks_are_kept_out_with_the_reason_until_they_are_mended(house: House, studio: Studio) -> None:
    project = studio.project()
    good, bad = studio.add(project, "play", "stop", **PLAY)
    studio.hands.edit(bad, {"utterance": "", **PLAY})
    source = house.attach(project)
    assert house.poll(source).taken.summary == Summary(read=2, new=1, rejected=1)
    rows = house.tasks(source)
    assert [(rows[id_].state, rows[id_].problem) for id_ in (good, bad)] == [
        ("live", None),
        ("rejected", "text: is missing"),
    ]
    studio.hands.edit(bad, {"utterance": "stop", **PLAY})
    assert house.poll(source).taken.summary.new == 1
    assert (house.tasks(source)[bad].state, house.tasks(source)[bad].problem) == ("live", None)


def test_a_task_that_turns_bad_keeps_its_last_good_revision(house: House, studio: Studio) -> None:
    project = studio.project()
    [task] = studio.add(project, "play", **PLAY)
    source = house.attach(project)
    house.poll(source)
    studio.hands.edit(task, {"utterance": "play rock", **PLAY, "slots": [[5, 99, "song"]]})
    assert house.poll(source).taken.summary.rejected == 1
    row = house.tasks(source)[task]
    assert row.state == "live"
    assert row.problem is not None
    assert "span 5:99" in row.problem
    [utterance] = house.utterances(source).values()
    assert (utterance.text, utterance.revision, utterance.partition) == ("play", 1, POOL)


def test_two_projects_and_two_locales_at_once(house: House, studio: Studio) -> None:
    english, swahili = studio.project(title="English"), studio.project(title="Swahili")
    studio.add(english, "play", **PLAY)
    studio.add(swahili, "cheza", "washa", **{**PLAY, "lang": "x"})
    first = house.attach(english)
    second = house.attach(swahili, "text=data.utterance", "locale=sw-KE")
    assert [house.poll(id_).taken.summary.new for id_ in (first, second)] == [1, 2]
    assert {row.locale for row in house.utterances(first).values()} == {"en-US"}
    assert {(row.locale, row.domain) for row in house.utterances(second).values()} == {("sw-KE", None)}
    with house.transaction() as session:
        counts = {count.source.id: count for count in source_rows.counts(session)}
    assert [(counts[id_].locales, counts[id_].live) for id_ in (first, second)] == [(["en-US"], 1), (["sw-KE"], 2)]


def test_hypotheses_are_read_from_predictions_also_from_those_that_come_later(house: House, studio: Studio) -> None:
    project = studio.project()
    play = said("intent", "choices", choices=["music_play"])
    studio.add(project, "play thriller", result=[MUSIC, play])
    [late] = studio.add(project, "stop")
    maps = ("text=data.utterance", "locale=en-US", "domain=prediction.domain", "intent=prediction.intent")
    source = house.attach(project, *maps, "nlu_score=prediction.score", "slots=prediction.slots")
    house.poll(source)
    found = house.utterances(source)
    assert [(row.domain, row.intent, row.nlu_score) for row in found.values()] == [
        ("music", "music_play", 0.5),
        (None, None, None),
    ]
    prediction = {"task": late, "model_version": "nlu", "score": 0.25, "result": [MUSIC, play]}
    studio.client.send_predictions(project, [prediction])
    with house.transaction() as session:  # as if the tasks had last changed long ago
        source_rows.change(session, source, collected_until=polls.clock(session) + timedelta(hours=1))
    assert house.poll(source).taken.summary.read == 0  # everything was read a moment ago
    with house.transaction() as session:
        source_rows.change(session, source, read_at=polls.clock(session) - polling.READ_EVERY)
    assert house.poll(source).taken.summary == Summary(read=2, changed=1, unchanged=1)
    assert house.utterances(source)[str(late)].nlu_score == 0.25
    assert house.poll(source).taken.summary.changed == 0


# What only the fake can show, or shows fast.


class Watched(FakeClient):
    """Notes the requests; `fails_after` so many pages of tasks, Label Studio goes away."""

    def __init__(self, server: FakeLabelStudio) -> None:
        super().__init__(server, "admin@example.org")
        self.requests: list[str] = []
        self.since: list[datetime | None] = []
        self.fails_after = 10**6

    def source_glance(self, project_id: int) -> Any:
        self.requests.append("glance")
        return super().source_glance(project_id)

    def source_tasks(self, project_id: int, **asked: Any) -> list[SourceTask]:
        self.requests.append("tasks")
        self.since.append(asked.get("updated_since"))
        if self.requests.count("tasks") > self.fails_after:
            raise LabelStudioError("tasks", None, "ConnectError")
        return super().source_tasks(project_id, **asked)

    def all_task_ids(self, project_id: int) -> set[int]:
        self.requests.append("ids")
        return super().all_task_ids(project_id)

    def get_project(self, project_id: int) -> Any:
        self.requests.append("project")
        return super().get_project(project_id)


@pytest.fixture
def watched(fake_house: House, fake_server: FakeLabelStudio) -> Watched:
    client = Watched(fake_server)
    fake_house.client = client
    return client


def age(server: FakeLabelStudio, project: int) -> None:
    """As if the tasks had last changed longer ago than the overlap."""
    for task in server.project(project).tasks.values():
        task["updated_at"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()


def test_an_idle_source_costs_one_request(
    fake_house: House, fake_studio: Studio, watched: Watched, fake_server: FakeLabelStudio
) -> None:
    project = fake_studio.project()
    fake_studio.add(project, "a", "b", **PLAY)
    age(fake_server, project)
    source = fake_house.attach(project)
    fake_house.poll(source)
    watched.requests.clear()
    for _ in range(3):
        assert not fake_house.poll(source).has_news
    assert watched.requests == ["glance"] * 3
    watched.requests.clear()
    fake_house.poll(source, force=False)
    assert watched.requests == []


def test_what_changes_is_asked_for_since_label_studios_clock_less_the_overlap(
    fake_house: House, fake_studio: Studio, watched: Watched, fake_server: FakeLabelStudio
) -> None:
    project = fake_studio.project()
    [task] = fake_studio.add(project, "a", **PLAY)
    fake_server.clock_is_ahead = timedelta(hours=-2)
    source = fake_house.attach(project)
    watched.since.clear()
    fake_house.poll(source)
    fake_studio.hands.edit(task, {"utterance": "b", **PLAY})
    fake_house.poll(source)
    whole, since = watched.since
    assert whole is None
    assert since is not None
    expected = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    assert abs(since - expected) < timedelta(minutes=1)


def test_a_first_reading_that_breaks_off_goes_on_where_it_was(
    fake_house: House, fake_studio: Studio, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "PAGE", 2)
    monkeypatch.setattr(polling, "PAGES_A_POLL", 2)
    project = fake_studio.project()
    ids = fake_studio.add(project, *"abcdefg", **PLAY)
    source = fake_house.attach(project)
    watched.requests.clear()
    watched.fails_after = 1
    with pytest.raises(LabelStudioError):
        fake_house.poll(source)
    assert list(fake_house.tasks(source)) == ids[:2]
    row = fake_house.row(source)
    assert (row.collected_until, row.reading_after) == (None, ids[1])
    assert row.error is not None
    watched.fails_after = 10**6
    fake_studio.hands.edit(ids[0], {"utterance": "changed meanwhile", **PLAY})
    second = fake_house.poll(source)
    assert (second.taken.summary.new, second.is_done) == (4, False)
    third = fake_house.poll(source, force=False)
    assert (third.taken.summary.new, third.is_done) == (1, True)
    row = fake_house.row(source)
    assert (row.reading_after, row.error) == (None, None)
    assert fake_house.poll(source).taken.summary.changed == 1
    assert fake_house.utterances(source)[str(ids[0])].text == "changed meanwhile"


def test_more_changes_than_a_poll_can_read_are_read_with_everything(
    fake_house: House, fake_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = fake_studio.project()
    source = fake_house.attach(project)
    fake_house.poll(source)
    monkeypatch.setattr(polling, "PAGE", 2)
    monkeypatch.setattr(polling, "PAGES_A_POLL", 2)
    fake_studio.add(project, *"abcdefg", **PLAY)
    polls_made = 0
    while not fake_house.poll(source).is_done:
        polls_made += 1
    assert polls_made == 2
    assert len(fake_house.utterances(source)) == 7


def test_who_dies_before_the_tasks_are_kept_has_lost_nothing(
    fake_house: House, fake_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = fake_studio.project()
    fake_studio.add(project, "a", **PLAY)
    source = fake_house.attach(project)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(source_rows, "put_tasks", die)
        with pytest.raises(KeyboardInterrupt):
            fake_house.poll(source)
    assert len(fake_house.utterances(source)) == 1
    assert fake_house.poll(source).taken.summary.unchanged == 1
    assert [row.state for row in fake_house.tasks(source).values()] == ["live"]


def test_an_id_belongs_to_one_task_and_is_free_when_that_is_deleted(fake_house: House, fake_studio: Studio) -> None:
    project = fake_studio.project()
    maps = (*MAPS, "id=data.uid")
    [first] = fake_studio.add(project, "a", **PLAY, uid="u1")
    [second] = fake_studio.add(project, "b", **PLAY, uid="u1")
    source = fake_house.attach(project, *maps)
    fake_house.poll(source)
    row = fake_house.tasks(source)[second]
    assert (row.state, row.problem) == ("rejected", f"id: the task {first} has it already")
    fake_studio.hands.delete(project, [first])
    fake_house.poll(source)
    assert fake_house.tasks(source)[second].state == "live"
    [utterance] = fake_house.utterances(source).values()
    assert (utterance.text, utterance.revision, utterance.partition) == ("b", 2, POOL)


def test_a_task_that_gets_another_id_is_another_utterance(fake_house: House, fake_studio: Studio) -> None:
    project = fake_studio.project()
    [task] = fake_studio.add(project, "a", **PLAY, uid="u1")
    source = fake_house.attach(project, *MAPS, "id=data.uid")
    fake_house.poll(source)
    fake_studio.hands.edit(task, {"utterance": "a", **PLAY, "uid": "u2"})
    fake_house.poll(source)
    assert {id_: row.partition for id_, row in fake_house.utterances(source).items()} == {"u1": GONE, "u2": POOL}
    fake_studio.hands.edit(task, {"utterance": "a", **PLAY, "uid": "u1"})
    fake_house.poll(source)
    assert {id_: row.partition for id_, row in fake_house.utterances(source).items()} == {"u1": POOL, "u2": GONE}


def test_gone_utterances_are_no_gold_data_and_count_no_more(fake_house: House, fake_studio: Studio) -> None:
    project = fake_studio.project()
    ids = fake_studio.add(project, "a", "b", **PLAY)
    source = fake_house.attach(project)
    fake_house.poll(source)
    fake_studio.hands.delete(project, ids[:1])
    fake_house.poll(source)
    with fake_house.transaction() as session:
        assert [(row.locale, row.ingested) for row in overview.pool(session)] == [("en-US", 1)]
        assert overview.partitions(session) == []


def test_a_project_that_is_gone_is_told_and_its_utterances_stay(fake_house: House, fake_studio: Studio) -> None:
    project = fake_studio.project()
    fake_studio.add(project, "a", **PLAY)
    source = fake_house.attach(project)
    fake_house.poll(source)
    fake_studio.hands.delete_project(project)
    polled = fake_house.poll(source)
    assert polled.problem == f"the project {project} is no longer in Label Studio"
    assert fake_house.row(source).error == polled.problem
    assert [row.partition for row in fake_house.utterances(source).values()] == [POOL]
    assert fake_house.write_back(source).written == 0


def test_a_control_that_went_from_the_configuration_is_told(fake_house: House, fake_studio: Studio) -> None:
    project = fake_studio.project()
    fake_studio.add(project, "a", result=[MUSIC])
    source = fake_house.attach(project, "text=data.utterance", "locale=en-US", "domain=prediction.domain", "intent=x")
    fake_studio.client.update_project(project, label_config="<View/>")
    polled = fake_house.poll(source)
    assert polled.problem is not None
    assert "has no control 'domain'" in polled.problem
    assert fake_house.row(source).error == polled.problem


def test_a_detached_source_is_left_alone_and_attached_again_reads_everything(
    fake_house: House, fake_studio: Studio, watched: Watched
) -> None:
    project = fake_studio.project()
    fake_studio.add(project, "a", **PLAY)
    source = fake_house.attach(project)
    fake_house.poll(source)
    with fake_house.transaction() as session:
        source_rows.detach(session, source)
        assert source_rows.due_ids(session, "main", timedelta(0)) == []
    fake_studio.add(project, "b", **PLAY)
    watched.requests.clear()
    fake_house.poll(source)
    assert watched.requests == []
    assert len(fake_house.utterances(source)) == 1
    assert fake_house.attach(project, "text=data.utterance", "locale=en-GB") == source
    assert fake_house.poll(source).taken.summary == Summary(read=2, new=1, changed=1)
    assert {row.locale for row in fake_house.utterances(source).values()} == {"en-GB"}


def test_a_source_of_another_instance_is_not_touched(fake_house: House, fake_studio: Studio) -> None:
    source = fake_house.attach(fake_studio.project())
    fake_house.instance = "other"
    with pytest.raises(LookupError, match="is in the Label Studio named 'main', not 'other'"):
        fake_house.poll(source)
    with fake_house.transaction() as session:
        assert source_rows.due_ids(session, "other", timedelta(0)) == []


def test_everything_is_read_anew_once_a_day(
    fake_house: House, fake_studio: Studio, fake_server: FakeLabelStudio
) -> None:
    """A bulk action that fills in data leaves no trace."""
    project = fake_studio.project()
    ids = fake_studio.add(project, "a", **PLAY)
    source = fake_house.attach(project)
    age(fake_server, project)
    fake_house.poll(source)
    fake_studio.client.add_data_field(project, ids, "domain", "weather")
    assert fake_house.poll(source).taken.ids == []
    with fake_house.transaction() as session:
        yesterday = polls.clock(session) - timedelta(days=1, minutes=1)
        session.execute(update(SourceRow).values(read_at=yesterday))
    assert fake_house.poll(source).taken.summary.changed == 1

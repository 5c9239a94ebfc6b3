"""Attaching tries the map on the project's tasks, and refuses with the mend."""

from __future__ import annotations

from typing import Any

import pytest

from db.models import Queue
from db.repositories import sources as source_rows
from plugin.label_studio.queues import LabelSet, project_settings
from plugin.label_studio.task_map import MapError
from plugin.services import sources
from plugin.services.sources import Asked, AttachError, Trial, attaching
from tests import factories
from tests.integration.sources.conftest import CONFIG, MAPS, PLAY, SLOTS, TEXT_ONLY, House, Studio


def tried(house: House, project: int, *maps: str, everything: bool = True, **more: Any) -> Trial:
    given: dict[str, Any] = {"write_back": None, "controls": [], "name": None, **more}
    asked = Asked(project, maps or (*MAPS, SLOTS), **given)
    return sources.try_out(house.transaction, house.client, house.instance, asked, everything=everything)


def test_a_trial_tells_of_every_task_and_keeps_nothing(house: House, studio: Studio) -> None:
    project = studio.project()
    good = studio.add(project, *(f"play {number}" for number in range(6)), **PLAY)
    studio.add(project, "play", **{**PLAY, "slots": [[0, 9, "song"]]})
    studio.add(project, "stop", **{**PLAY, "slots": [[3, 77, "song"]]})
    studio.add(project, "", **PLAY)
    bare = studio.add(project, "louder", lang="en-US")
    trial = tried(house, project)
    assert (trial.title, trial.tried, trial.usable, trial.with_hypothesis) == ("Their project", 10, 7, 6)
    assert [task_id for task_id, _ in trial.shown] == good[:5]
    kinds = sources.kinds(trial.problems)
    assert [count for _, count, _ in kinds] == [2, 1]
    assert "span 0:9" in kinds[0][0]
    assert kinds[1][0] == "text: is missing"
    assert bare[0] not in [task_id for task_id, _ in trial.problems]
    with house.transaction() as session:
        assert source_rows.counts(session) == []


def test_of_a_large_project_attaching_tries_the_first_tasks(
    fake_house: House, fake_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "PAGE", 2)
    monkeypatch.setattr(attaching, "TRIED", 4)
    project = fake_studio.project()
    fake_studio.add(project, *"abcdefg", **PLAY)
    assert tried(fake_house, project, everything=False).tried == 4
    assert tried(fake_house, project, everything=True).tried == 7


def test_ids_that_come_twice_are_told(fake_house: House, fake_studio: Studio) -> None:
    project = fake_studio.project()
    first, _ = fake_studio.add(project, "a", "b", **PLAY, uid="u1")
    trial = tried(fake_house, project, *MAPS, "id=data.uid")
    assert [message for _, message in trial.problems] == [f"id: the task {first} has it already"]


def test_what_cannot_be_mapped_is_refused(house: House, studio: Studio) -> None:
    project = studio.project()
    studio.add(project, "play", "stop", lang="english")
    with pytest.raises(AttachError, match=r"none of the 2 tasks .*: locale: must be a language tag .* \(2 tasks\)"):
        house.attach(project, "text=data.utterance", "locale=data.lang")
    with pytest.raises(MapError, match=r"no task has a field 'text'; they have lang, utterance"):
        house.attach(project, "text=data.text", "locale=en-US")
    with pytest.raises(MapError, match="no control 'topic'"):
        house.attach(project, "text=data.utterance", "locale=en-US", "domain=prediction.topic")
    with pytest.raises(AttachError, match="Label Studio has no project 99999999"):
        house.attach(99999999, "text=data.utterance", "locale=en-US")


def test_our_own_projects_are_never_attached(house: House, studio: Studio) -> None:
    settings = project_settings("en-US", "music", LabelSet({"music": ["play"]}, ["song"]))
    another = studio.client.create_project(settings)
    ours = studio.project(TEXT_ONLY, "A queue whose screen was edited by hand")
    with house.transaction() as session:
        session.add(Queue(instance="main", locale="en-US", domain="music", project_id=ours))
    for project in (another, ours):
        studio.add(project, "play", text="play")
        with pytest.raises(AttachError, match="is one of Assay's own"):
            house.attach(project, "text=data.utterance", "locale=en-US")


def test_an_empty_project_can_be_attached(house: House, studio: Studio) -> None:
    project = studio.project()
    source = house.attach(project)
    assert house.poll(source).taken.ids == []
    studio.add(project, "play", **PLAY)
    assert house.poll(source).taken.summary.new == 1


def test_reviews_go_back_as_annotations_where_the_project_can_hold_them(fake_house: House, fake_studio: Studio) -> None:
    whole, bare = fake_studio.project(CONFIG), fake_studio.project(TEXT_ONLY)
    for project in (whole, bare):
        fake_studio.add(project, "play", **PLAY)
    assert tried(fake_house, whole).write_back == "annotation"
    assert tried(fake_house, whole, write_back="data").write_back == "data"
    assert tried(fake_house, bare).write_back == "data"
    with pytest.raises(AttachError, match="no control for domain and intent and slots"):
        tried(fake_house, bare, write_back="annotation")
    with pytest.raises(AttachError, match="domain=topic: the project has no control of this name"):
        tried(fake_house, whole, controls=["domain=topic"])
    with pytest.raises(AttachError, match="--control topic: must be domain="):
        tried(fake_house, whole, controls=["topic"])
    with pytest.raises(AttachError, match="--control is for --write-back annotation, not for data"):
        tried(fake_house, whole, write_back="data", controls=["domain=domain"])


def test_a_source_keeps_its_name_and_no_other_has_it(fake_house: House, fake_studio: Studio) -> None:
    one, other = fake_studio.project(), fake_studio.project()
    source = fake_house.attach(one, name="speaker")
    assert fake_house.row(source).name == "speaker"
    with pytest.raises(AttachError, match="there are utterances of a source 'speaker' already"):
        fake_house.attach(other, name="speaker")
    with fake_house.transaction() as session:
        factories.utterances(session, 1, source="log")
    with pytest.raises(AttachError, match="source 'log' already"):
        fake_house.attach(other, name="log")
    with pytest.raises(AttachError, match="of the source 'speaker', and stay that"):
        fake_house.attach(one, name="another")
    with pytest.raises(AttachError, match="--source: must not be blank"):
        fake_house.attach(other, name=" ")
    assert fake_house.attach(one) == source
    assert fake_house.row(fake_house.attach(other)).name == f"label-studio-main-{other}"

"""Reviews go back to the tasks their utterances came from: in bulk, once, and never over a person's own work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from db.repositories import sources as source_rows
from db.repositories import write_backs
from plugin.label_studio.errors import LabelStudioError
from plugin.records import Hypothesis, Slot
from plugin.services.sources import WrittenBack, writing
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.integration.sources.conftest import CONFIG, MUSIC, PLAY, TEXT_ONLY, House, Studio

QUERY = Hypothesis("weather", "weather_query")
SONG = Hypothesis("music", "music_play", (Slot(5, 13, "song"),))
VERDICTS = (
    '<Choices name="ok" toName="utt"><Choice value="accept"/><Choice value="fix"/><Choice value="reject"/></Choices>'
)


def columns(studio: Studio, task_id: int) -> dict[str, Any]:
    """What Assay has written into a task's data."""
    data = studio.hands.task(task_id)["data"]
    return {name.removeprefix("assay_"): value for name, value in data.items() if name.startswith("assay_")}


def annotated(studio: Studio, task_id: int) -> list[dict[str, Any]]:
    """What each annotation of a task says: control -> value."""
    found = studio.hands.task(task_id)["annotations"]
    return [{region["from_name"]: _said(region["value"]) for region in one["result"]} for one in found]


def _said(value: Mapping[str, Any]) -> Any:
    return [value["start"], value["end"], *value["labels"]] if "labels" in value else value["choices"][0]


def attached(
    house: House, studio: Studio, *texts: str, config: str = CONFIG, **more: Any
) -> tuple[int, int, list[int]]:
    """A project of some tasks, all read: (source, project, task ids)."""
    project = studio.project(config)
    ids = studio.add(project, *texts, **PLAY)
    source = house.attach(project, **more)
    house.poll(source)
    return source, project, ids


def test_reviews_are_written_as_columns_once_and_are_no_news(house: House, studio: Studio) -> None:
    source, project, ids = attached(house, studio, "play thriller", "rain?", "stop", "louder", config=TEXT_ONLY)
    assert house.row(source).write_back == "data"
    house.review(source, ids[0], "fix", SONG)
    house.review(source, ids[1], "accept", QUERY)
    house.review(source, ids[2], "reject")
    before = studio.client.source_glance(project)
    assert house.write_back(source) == WrittenBack(source, written=3)
    assert [columns(studio, id_) for id_ in ids] == [
        {"verdict": "fix", "domain": "music", "intent": "music_play", "slots": '[[5, 13, "song"]]'},
        {"verdict": "accept", "domain": "weather", "intent": "weather_query", "slots": "[]"},
        {"verdict": "reject", "domain": "", "intent": "", "slots": "[]"},
        {},
    ]
    assert house.write_back(source) == WrittenBack(source)
    assert studio.client.source_glance(project).newest == before.newest
    polled = house.poll(source)
    assert (polled.taken.ids, polled.taken.summary.rejected) == ([], 0)
    row = house.tasks(source)[ids[0]]
    assert row.written == {
        "as": "data", "verdict": "fix", "domain": "music", "intent": "music_play", "slots": [[5, 13, "song"]],
    }  # fmt: skip
    assert row.written_at is not None


def test_reviews_are_written_as_our_annotations_once_and_are_no_news(house: House, studio: Studio) -> None:
    source, project, ids = attached(house, studio, "play thriller", "rain?", "stop")
    assert house.row(source).write_back == "annotation"
    house.review(source, ids[0], "fix", SONG)
    house.review(source, ids[1], "fix", QUERY)
    assert house.write_back(source) == WrittenBack(source, written=2)
    for _ in range(2):
        assert annotated(studio, ids[0]) == [{"domain": "music", "intent": "music_play", "slots": [5, 13, "song"]}]
        assert annotated(studio, ids[1]) == [{"domain": "weather", "intent": "weather_query"}]
        assert annotated(studio, ids[2]) == []
        assert house.write_back(source) == WrittenBack(source)
    polled = house.poll(source)
    assert (polled.taken.ids, polled.taken.summary.rejected) == ([], 0)
    assert [row.revision for row in house.utterances(source).values()] == [1, 1, 1]
    assert studio.client.source_glance(project).predictions == 0  # those that they were made of are gone


def test_a_review_that_changes_changes_there_and_one_that_is_taken_back_goes(house: House, studio: Studio) -> None:
    for config, way in ((TEXT_ONLY, "data"), (CONFIG, "annotation")):
        source, _, [task] = attached(house, studio, "rain at 5?", config=config)
        said = house.review(source, task, "fix", QUERY)
        house.write_back(source)
        for label in (Hypothesis("music", "music_stop"), Hypothesis("music", "music_play")):
            house.review(source, task, "fix", label, said)
            assert house.write_back(source) == WrittenBack(source, written=1)
            if way == "data":
                assert columns(studio, task)["intent"] == label.intent
            else:
                assert annotated(studio, task) == [{"domain": "music", "intent": label.intent}]
        house.withdraw(task)
        assert house.write_back(source) == WrittenBack(source, taken_back=1)
        assert set(columns(studio, task).values()) <= {""}
        assert annotated(studio, task) == []
        assert house.tasks(source)[task].written is None
        assert house.write_back(source) == WrittenBack(source)
        house.review(source, task, "fix", QUERY, said)
        assert house.write_back(source) == WrittenBack(source, written=1)


def test_a_person_who_annotated_the_task_there_is_not_overruled(house: House, studio: Studio) -> None:
    for config in (TEXT_ONLY, CONFIG):
        source, _, [task, other] = attached(house, studio, "rain?", "snow?", config=config)
        studio.person.submit_annotation(task, [MUSIC])
        studio.person.submit_annotation(other, [], skipped=True)
        house.review(source, task, "fix", QUERY)
        house.review(source, other, "fix", QUERY)
        assert house.write_back(source) == WrittenBack(source, written=1, refused=1)
        assert columns(studio, task) == {}
        assert annotated(studio, task) == [{"domain": "music"}]
        assert house.tasks(source)[task].write_problem == "a person has annotated it there"
        assert house.write_back(source) == WrittenBack(source)


def test_our_annotation_that_a_person_has_changed_is_theirs(house: House, studio: Studio) -> None:
    source, _, [task] = attached(house, studio, "rain?")
    said = house.review(source, task, "fix", QUERY)
    house.write_back(source)
    [ours] = [one["id"] for one in studio.hands.task(task)["annotations"]]
    studio.hands.edit_annotation(ours, [MUSIC])
    house.review(source, task, "fix", Hypothesis("music", "music_stop"), said)
    assert house.write_back(source).refused == 1
    house.withdraw(task)
    house.write_back(source)
    assert annotated(studio, task) == [{"domain": "music"}]


def test_a_task_that_somebody_is_at_work_on_has_to_wait(house: House, studio: Studio) -> None:
    source, project, [task] = attached(house, studio, "rain?")
    studio.hands.draft(project, task)
    house.review(source, task, "fix", QUERY)
    for _ in range(2):
        assert house.write_back(source) == WrittenBack(source, waiting=1)
    assert annotated(studio, task) == []


def test_a_label_of_another_text_is_not_written(house: House, studio: Studio) -> None:
    source, _, [task] = attached(house, studio, "play thriller", config=TEXT_ONLY)
    house.review(source, task, "fix", SONG)
    studio.hands.edit(task, {"utterance": "stop", **PLAY})  # not yet read
    assert house.write_back(source) == WrittenBack(source, waiting=1)
    house.poll(source)
    assert house.write_back(source) == WrittenBack(source)
    assert columns(studio, task) == {}
    studio.hands.edit(task, {"utterance": "play thriller", **PLAY})
    house.poll(source)
    assert house.write_back(source) == WrittenBack(source, written=1)
    studio.hands.edit(task, {**studio.hands.task(task)["data"], "utterance": "stop it"})
    house.poll(source)
    assert house.write_back(source) == WrittenBack(source, taken_back=1)
    assert set(columns(studio, task).values()) == {""}


def test_what_the_configuration_has_no_place_for_is_told_and_tried_again_when_the_task_changes(
    house: House, studio: Studio
) -> None:
    source, project, [task, rejected] = attached(house, studio, "hum", "xxx")
    house.review(source, task, "fix", Hypothesis("music", "music_hum"))
    house.review(source, rejected, "reject")
    assert house.write_back(source) == WrittenBack(source, refused=2)
    rows = house.tasks(source)
    assert rows[task].write_problem == "the control 'intent' has no choice 'music_hum'"
    assert rows[rejected].write_problem == "it was rejected, and no control holds a verdict"
    assert house.write_back(source) == WrittenBack(source)
    more = CONFIG.replace("music_stop", "music_hum").replace("</View>", f"{VERDICTS}</View>")
    studio.client.update_project(project, label_config=more)
    studio.hands.edit(task, {**PLAY, "utterance": "hum"})
    house.poll(source)
    assert house.write_back(source).written == 1
    assert annotated(studio, task) == [{"domain": "music", "intent": "music_hum"}]


def test_rejections_are_written_where_a_control_has_verdicts(house: House, studio: Studio) -> None:
    config = CONFIG.replace("</View>", f"{VERDICTS}</View>")
    source, _, [task] = attached(house, studio, "xxx", config=config, write_back="annotation", verdict="ok")
    house.review(source, task, "reject")
    assert house.write_back(source) == WrittenBack(source, written=1)
    assert annotated(studio, task) == [{"ok": "reject"}]


# What only the fake can show, or shows fast.


class Counted(FakeClient):
    """Counts the writing requests; dies or loses the answer of the one that is named."""

    def __init__(self, server: FakeLabelStudio) -> None:
        super().__init__(server, "admin@example.org")
        self.requests: list[str] = []
        self.dies_after = ""
        self.keeps_predictions = False

    def _note(self, name: str) -> None:
        self.requests.append(name)
        if name == self.dies_after:
            self.dies_after = ""
            raise LabelStudioError(name, None, "RemoteProtocolError", uncertain=True)

    def send_predictions(self, project_id: int, predictions: Sequence[Any]) -> None:
        super().send_predictions(project_id, predictions)
        self._note("send_predictions")

    def annotate_from_predictions(self, project_id: int, task_ids: Sequence[int], versions: Sequence[str]) -> None:
        super().annotate_from_predictions(project_id, task_ids, versions)
        self._note("annotate_from_predictions")

    def drop_predictions(self, project_id: int, version: str) -> None:
        if self.keeps_predictions:
            raise LabelStudioError("drop_predictions", 500, "deadlock detected", uncertain=True)
        super().drop_predictions(project_id, version)
        self._note("drop_predictions")

    def add_data_field(self, project_id: int, task_ids: Sequence[int], name: str, value: str | float) -> None:
        super().add_data_field(project_id, task_ids, name, value)
        self._note(name)


@pytest.fixture
def counted(fake_house: House, fake_server: FakeLabelStudio) -> Counted:
    client = Counted(fake_server)
    fake_house.client = client
    return client


@pytest.mark.parametrize("config", [CONFIG, TEXT_ONLY])
def test_the_number_of_requests_is_that_of_values_and_not_of_reviews(
    fake_house: House, fake_studio: Studio, counted: Counted, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.setattr(writing, "BATCH", 50)
    source, _, ids = attached(fake_house, fake_studio, *["play thriller"] * 100, config=config)
    for number, id_ in enumerate(ids):
        fake_house.review(source, id_, "fix", (QUERY, SONG, Hypothesis("music", "music_stop"))[number % 3])
    assert fake_house.write_back(source).written == 100
    requests = {name: counted.requests.count(name) for name in counted.requests}
    if config == CONFIG:
        assert requests == {"send_predictions": 2, "annotate_from_predictions": 2, "drop_predictions": 2}
    else:
        assert requests == {"assay_verdict": 2, "assay_domain": 4, "assay_intent": 6, "assay_slots": 4}


@pytest.mark.parametrize("dies_after", ["send_predictions", "annotate_from_predictions"])
@pytest.mark.parametrize("then", ["same", "changed", "withdrawn"])
def test_who_dies_at_work_leaves_nothing_double(
    fake_house: House, fake_studio: Studio, counted: Counted, dies_after: str, then: str
) -> None:
    source, project, [task, other] = attached(fake_house, fake_studio, "rain?", "snow?")
    said = fake_house.review(source, task, "fix", QUERY)
    fake_house.review(source, other, "fix", QUERY)
    counted.dies_after = dies_after
    with pytest.raises(LabelStudioError):
        fake_house.write_back(source)
    label = QUERY
    if then == "changed":
        label = Hypothesis("music", "music_stop")
        fake_house.review(source, task, "fix", label, said)
    if then == "withdrawn":
        fake_house.withdraw(task)
    fake_house.write_back(source)
    expected = [] if then == "withdrawn" else [{"domain": label.domain, "intent": label.intent}]
    assert annotated(fake_studio, task) == expected
    assert annotated(fake_studio, other) == [{"domain": "weather", "intent": "weather_query"}]
    assert fake_studio.client.source_glance(project).predictions == 0
    with fake_house.transaction() as session:
        assert write_backs.count_due(session, source) == 0


def test_what_was_begun_is_ended_first(
    fake_house: House, fake_studio: Studio, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its annotations are known by predictions, which the other batches delete."""
    monkeypatch.setattr(writing, "BATCH", 2)
    source, _, ids = attached(fake_house, fake_studio, "rain?", "snow?", "hail?", "fog?")
    for task in ids[2:]:
        fake_house.review(source, task, "fix", QUERY)
    counted.dies_after = "annotate_from_predictions"
    with pytest.raises(LabelStudioError):
        fake_house.write_back(source)
    for task in ids[:2]:
        fake_house.review(source, task, "fix", QUERY)
    assert fake_house.write_back(source) == WrittenBack(source, written=4)
    assert [len(annotated(fake_studio, task)) for task in ids] == [1] * 4


@pytest.mark.parametrize("withdrawn", [True, False])
def test_columns_that_were_half_written_are_written_whole_or_emptied(
    fake_house: House, fake_studio: Studio, counted: Counted, withdrawn: bool
) -> None:
    source, _, [task] = attached(fake_house, fake_studio, "rain?", config=TEXT_ONLY)
    fake_house.review(source, task, "fix", QUERY)
    counted.dies_after = "assay_domain"
    with pytest.raises(LabelStudioError):
        fake_house.write_back(source)
    assert len(columns(fake_studio, task)) == 2
    if withdrawn:
        fake_house.withdraw(task)
    fake_house.write_back(source)
    expected = {"verdict": "fix", "domain": "weather", "intent": "weather_query", "slots": "[]"}
    assert columns(fake_studio, task) == (dict.fromkeys(expected, "") if withdrawn else expected)


def test_the_last_word_counts(fake_house: House, fake_studio: Studio) -> None:
    source, _, [task] = attached(fake_house, fake_studio, "rain?", config=TEXT_ONLY)
    fake_house.review(source, task, "fix", QUERY)
    fake_house.review(source, task, "fix", Hypothesis("music", "music_stop"))
    assert fake_house.write_back(source).written == 1
    assert columns(fake_studio, task)["intent"] == "music_stop"


def test_a_source_that_wants_nothing_is_not_written_to(fake_house: House, fake_studio: Studio) -> None:
    source, project, [task] = attached(fake_house, fake_studio, "rain?", write_back="none")
    fake_house.review(source, task, "fix", QUERY)
    assert fake_house.write_back(source) == WrittenBack(source)
    with fake_house.transaction() as session:
        assert write_backs.sources_with_due(session, "main") == []
    assert fake_house.attach(project, write_back="data") == source
    with fake_house.transaction() as session:
        assert write_backs.sources_with_due(session, "main") == [source]
        assert write_backs.sources_with_due(session, "other") == []
    fake_house.poll(source)
    assert fake_house.write_back(source).written == 1
    with fake_house.transaction() as session:
        source_rows.detach(session, source)
        assert write_backs.sources_with_due(session, "main") == []


def test_another_way_of_writing_takes_the_first_one_away(fake_house: House, fake_studio: Studio) -> None:
    source, project, [task] = attached(fake_house, fake_studio, "rain?", write_back="data")
    said = fake_house.review(source, task, "fix", QUERY)
    fake_house.write_back(source)
    fake_house.attach(project, write_back="annotation")
    fake_house.poll(source)
    fake_house.review(source, task, "fix", Hypothesis("music", "music_stop"), said)
    fake_house.write_back(source)
    assert set(columns(fake_studio, task).values()) == {""}
    assert annotated(fake_studio, task) == [{"domain": "music", "intent": "music_stop"}]
    fake_house.attach(project, write_back="data")
    fake_house.review(source, task, "fix", QUERY, said)
    fake_house.write_back(source)
    assert json.loads(columns(fake_studio, task)["slots"]) == []
    assert annotated(fake_studio, task) == []


def test_predictions_that_cannot_be_dropped_do_no_harm(
    fake_house: House, fake_studio: Studio, counted: Counted
) -> None:
    source, project, [task, other] = attached(fake_house, fake_studio, "rain?", "snow?")
    said = fake_house.review(source, task, "fix", QUERY)
    counted.keeps_predictions = True
    for label in (QUERY, Hypothesis("music", "music_stop")):
        fake_house.review(source, task, "fix", label, said)
        assert fake_house.write_back(source) == WrittenBack(source, written=1)
        assert annotated(fake_studio, task) == [{"domain": label.domain, "intent": label.intent}]
    fake_house.review(source, other, "fix", QUERY)
    assert fake_house.write_back(source) == WrittenBack(source, written=1)
    assert fake_studio.client.source_glance(project).predictions == 3
    assert fake_house.row(source).our_versions == ["assay-review", "assay-review-2"]


@pytest.mark.parametrize("way", ["annotation", "none"])
def test_predictions_that_stayed_are_dropped_later_even_when_nothing_else_is_due(
    fake_house: House, fake_studio: Studio, counted: Counted, way: str
) -> None:
    source, project, [task] = attached(fake_house, fake_studio, "rain?")
    fake_house.review(source, task, "fix", QUERY)
    counted.keeps_predictions = True
    fake_house.write_back(source)
    fake_house.attach(project, write_back=way)
    assert due(fake_house) == [source]
    counted.keeps_predictions = False
    assert fake_house.write_back(source) == WrittenBack(source)
    assert fake_studio.client.source_glance(project).predictions == 0
    assert due(fake_house) == []


def due(house: House) -> list[int]:
    with house.transaction() as session:
        return write_backs.sources_with_due(session, "main")


@pytest.mark.parametrize("dies_after", ["send_predictions", "annotate_from_predictions"])
def test_predictions_of_who_died_are_dropped_whatever_became_of_their_tasks(
    fake_house: House, fake_studio: Studio, counted: Counted, dies_after: str
) -> None:
    source, project, [task, other] = attached(fake_house, fake_studio, "rain?", "snow?")
    for id_ in (task, other):
        fake_house.review(source, id_, "fix", QUERY)
    counted.dies_after = dies_after
    with pytest.raises(LabelStudioError):
        fake_house.write_back(source)
    fake_house.attach(project, write_back="data")
    fake_house.write_back(source)
    assert fake_studio.client.source_glance(project).predictions == 0
    assert fake_house.row(source).our_versions == []

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from db.models import Queue
from db.repositories import evaluations
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.records import Policy
from plugin.services import evaluation
from plugin.services.evaluation import Context
from plugin.services.evaluation.publishing import Projects
from plugin.settings import SettingsError
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.evaluation.conftest import INSTANCE, LOCALE


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio()


def queue(transaction: TransactionMaker, label_studio: FakeLabelStudio, domain: str) -> int:
    project_id = label_studio.client().create_project({"title": f"Assay · {LOCALE} · {domain}"})
    with transaction() as session:
        session.add(Queue(instance=INSTANCE, locale=LOCALE, domain=domain, project_id=project_id))
    return project_id


def done_run(context: Context) -> int:
    with context.transaction() as session:
        run = evaluation.create_run(session, LOCALE, "test", {"*": Policy()}, trigger="test", requested_by="me")
    evaluation.execute(context, run.id)
    return run.id


def unpublished(context: Context) -> list[int]:
    with context.transaction() as session:
        return list(evaluation.tick(session, datetime.now(UTC)).publish)


def description(label_studio: FakeLabelStudio, project_id: int) -> str:
    return str(label_studio.project(project_id).settings.get("description", ""))


def test_every_queue_project_shows_its_own_domain(context: Context, label_studio: FakeLabelStudio) -> None:
    music = queue(context.transaction, label_studio, "music")
    audio = queue(context.transaction, label_studio, "audio")
    takeaway = queue(context.transaction, label_studio, "takeaway")
    run_id = done_run(context)
    for _ in range(2):  # twice equals once
        assert evaluation.publish(context.transaction, label_studio.client, INSTANCE, run_id)
        assert f"run {run_id}" in description(label_studio, music)
        assert "sw-KE-0001, 6 utterances of audio" in description(label_studio, audio)
        assert "SEMER 0.0%" in description(label_studio, audio)
        assert "SEMER against gold only -100.0%" in description(label_studio, audio)
        # The test set has nothing of it: all domains together.
        assert "18 utterances of all domains" in description(label_studio, takeaway)
    assert unpublished(context) == []


def test_the_guide_has_examples_and_says_how_well_it_goes(context: Context, label_studio: FakeLabelStudio) -> None:
    project_id = queue(context.transaction, label_studio, "audio")
    run_id = done_run(context)
    assert evaluation.publish(context.transaction, label_studio.client, INSTANCE, run_id)
    guide = re.sub("[\u2068\u2069]", "", label_studio.project(project_id).settings["expert_instruction"])
    assert "<b>audio_volume</b>: hush please 0 · hush please 1 · hush please 2</p>" in guide
    assert "hush now" not in guide, "what a test set asks is no example"
    assert f"In the last evaluation (run {run_id} of " in guide
    assert "6 utterances of audio), our model got something wrong in 0 of 100 utterances" in guide
    assert "Reviewed so far: 6 of this domain; accepted 100%, fixed 0%, rejected 0%." in guide


def test_an_absent_label_studio_is_recorded_and_tried_again(context: Context, label_studio: FakeLabelStudio) -> None:
    project_id = queue(context.transaction, label_studio, "music")
    run_id = done_run(context)

    def away() -> Projects:
        raise LabelStudioError("access token", None, "ConnectError")

    assert not evaluation.publish(context.transaction, away, INSTANCE, run_id)
    with context.transaction() as session:
        step = evaluations.steps(session, run_id)["publish"]
        assert step.error == "Label Studio: access token: no answer: ConnectError"
        assert evaluations.get_run(session, run_id).state == "done"  # type: ignore[union-attr]
    assert unpublished(context) == [run_id]
    assert evaluation.publish(context.transaction, label_studio.client, INSTANCE, run_id)
    assert unpublished(context) == []
    assert f"run {run_id}" in description(label_studio, project_id)


def test_without_queues_label_studio_is_not_even_asked(context: Context) -> None:
    def not_configured() -> Projects:
        raise SettingsError("ASSAY_LABEL_STUDIO_URL is not set")

    assert evaluation.publish(context.transaction, not_configured, INSTANCE, done_run(context))


def test_a_project_deleted_in_label_studio_does_not_stop_the_others(
    context: Context, label_studio: FakeLabelStudio
) -> None:
    gone = queue(context.transaction, label_studio, "audio")
    music = queue(context.transaction, label_studio, "music")
    del label_studio.projects[gone]
    run_id = done_run(context)
    assert evaluation.publish(context.transaction, label_studio.client, INSTANCE, run_id)
    with context.transaction() as session:
        detail = evaluations.steps(session, run_id)["publish"].detail
    assert detail == {"projects": [music], "missing_projects": [gone]}


def test_an_older_run_does_not_overwrite_a_newer_one(context: Context, label_studio: FakeLabelStudio) -> None:
    project_id = queue(context.transaction, label_studio, "music")
    older, newer = done_run(context), done_run(context)
    assert evaluation.publish(context.transaction, label_studio.client, INSTANCE, newer)
    assert not evaluation.publish(context.transaction, label_studio.client, INSTANCE, older)
    assert f"run {newer}" in description(label_studio, project_id)

"""A part of a queue is shown with nothing filled in: who it is, that it stays so, and what comes back of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, QueueTask, SelectionItemRow
from db.session import TransactionMaker
from plugin.label_studio.payloads import read_result
from plugin.label_studio.queues import label_regions
from plugin.label_studio.screen import BLIND
from plugin.quality.selection import is_blind
from plugin.records import Hypothesis
from plugin.services import ingest, policies
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.queues.conftest import INSTANCE, music, publish_all, refresh

pytestmark = pytest.mark.usefixtures("pool")


def set_policy(session: Session, **updates: Any) -> None:
    policies.change(session, "en-US", "*", updates, changed_by="test", comment="")


def shown_blind(server: FakeLabelStudio) -> dict[int, bool]:
    """Utterance id -> whether the newest prediction of its task fills in nothing and says so."""
    return dict(_shown(server))


def _shown(server: FakeLabelStudio) -> Iterator[tuple[int, bool]]:
    for project in server.projects.values():
        for task in project.tasks.values():
            result = max(task["predictions"], key=lambda item: int(item["id"]))["result"]
            [reason] = [region["value"]["text"][0] for region in result if region["from_name"] == "reason"]
            is_empty = read_result(result, task["data"]["text"]).is_empty
            assert is_empty == (reason == BLIND), "no reason without a label, no label without a reason"
            yield task["data"]["utterance_id"], is_empty


def test_who_is_blind_is_drawn_by_seed_and_utterance_alone(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    set_policy(session, blind_share=0.3, budget=60)
    refresh(transaction, 5)
    publish_all(transaction, server)
    shown = shown_blind(server)
    assert shown == {utterance_id: is_blind(5, utterance_id, 0.3) for utterance_id in shown}
    assert any(shown.values())
    assert dict(session.execute(select(QueueTask.utterance_id, QueueTask.blind)).all()) == shown


def test_a_queue_that_is_published_again_shows_the_same_blind(session: Session, transaction: TransactionMaker) -> None:
    """Under another seed, another share, and even in another project."""
    server = FakeLabelStudio()
    set_policy(session, blind_share=0.5, budget=60)
    refresh(transaction, 5)
    publish_all(transaction, server)
    before = shown_blind(server)
    set_policy(session, blind_share=0.0, budget=90)
    refresh(transaction, 6)
    publish_all(transaction, server)
    after = shown_blind(server)
    assert {utterance_id: after[utterance_id] for utterance_id in before} == before
    assert len(after) > len(before)
    assert not any(blind for utterance_id, blind in after.items() if utterance_id not in before)

    server.projects.clear()
    refresh(transaction, 7)
    publish_all(transaction, server)
    assert shown_blind(server) == after


def test_both_arms_have_their_part(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    set_policy(session, blind_share=0.5, budget=80, control_share=0.5)
    refresh(transaction, 5)
    publish_all(transaction, server)
    shown = shown_blind(server)
    arms = {item.utterance_id: item.arms for item in session.scalars(select(SelectionItemRow))}
    for arm in ("strategy", "control"):
        of_arm = [shown[utterance_id] for utterance_id, its in arms.items() if arm in its]
        assert 0.2 < sum(of_arm) / len(of_arm) < 0.8


def test_reviews_of_the_blind_come_back_as_such_and_judge_the_hypothesis(
    session: Session, transaction: TransactionMaker
) -> None:
    server = FakeLabelStudio()
    set_policy(session, blind_share=0.5, budget=60)
    refresh(transaction, 5)
    publish_all(transaction, server)
    queue = music(session)
    assert queue.project_id is not None
    annotator = server.client("ann@example.org")
    right, wrong = Hypothesis("music", "music_play"), Hypothesis("weather", "weather_query")
    said: dict[int, Hypothesis] = {}
    turns = {True: itertools.cycle([right, wrong]), False: itertools.cycle([right, wrong])}
    while task := annotator.next_task(queue.project_id):
        assert task.utterance_id is not None
        label = said[task.utterance_id] = next(turns[task.shown is None])
        regions = label_regions(label, task.text)
        annotator.submit_annotation(task.task_id, regions, parent_prediction=task.prediction_id)
    ingest.reconcile(transaction, server.client(), INSTANCE, queue.project_id, overlap=timedelta(minutes=5), force=True)
    rows = session.scalars(select(AnnotationRow)).all()
    assert {row.utterance_id for row in rows} == set(said)
    for row in rows:
        assert row.shown_blind == is_blind(5, row.utterance_id, 0.5)
        assert row.verdict == ("accept" if said[row.utterance_id] == right else "fix")
    assert {(row.shown_blind, row.verdict) for row in rows} == {
        (blind, verdict) for blind in (True, False) for verdict in ("accept", "fix")
    }

"""The columns of reviewed tasks: what they say, and that there is nothing before the review."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import AnnotationRow, QueueTask, Score, SelectionItemRow
from db.repositories.marks import Mark
from db.session import TransactionMaker
from plugin.label_studio.controls import REJECT
from plugin.label_studio.payloads import DrawnTask
from plugin.label_studio.queues import label_regions, region
from plugin.records import Hypothesis
from plugin.services import ingest, marks
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.fakes.scorer import VOCABULARY
from tests.integration.queues.conftest import INSTANCE, music, publish_all, refresh

pytestmark = pytest.mark.usefixtures("pool")
FIXED_COLUMNS = {"utterance_id", "text", "record", "source"}
MARKED = {"review", "suspected_label_error", "entropy_at_import", "el2n_at_import"}


class Desk:
    """One annotator at the published queue of music."""

    def __init__(self, session: Session, transaction: TransactionMaker) -> None:
        self.session, self.transaction, self.server = session, transaction, FakeLabelStudio()
        refresh(transaction, 1)
        publish_all(transaction, self.server)
        self.queue_id = music(session).id
        self.project_id = music(session).project_id or 0
        self.annotator: FakeClient = self.server.client("ann@example.org")

    def draw(self) -> DrawnTask:
        task = self.annotator.next_task(self.project_id)
        assert task is not None
        return task

    def collect(self) -> None:
        client = self.server.client()
        ingest.reconcile(self.transaction, client, INSTANCE, self.project_id, overlap=timedelta(hours=1), force=True)

    def mark(self) -> int:
        return marks.mark(self.transaction, self.server.client(), INSTANCE, self.queue_id)

    def data(self, task: DrawnTask) -> Mapping[str, Any]:
        data: Mapping[str, Any] = self.server.project(self.project_id).tasks[task.task_id]["data"]
        return data


@pytest.fixture
def desk(session: Session, transaction: TransactionMaker) -> Desk:
    return Desk(session, transaction)


def accept(desk: Desk) -> DrawnTask:
    task = desk.draw()
    assert task.shown is not None
    desk.annotator.submit_annotation(task.task_id, label_regions(task.shown, task.text))
    return task


def test_nothing_tells_arm_or_score_before_the_review_and_then_it_is_said(desk: Desk) -> None:
    accepted = accept(desk)
    fixed = desk.draw()
    desk.annotator.submit_annotation(fixed.task_id, label_regions(Hypothesis("weather", "weather_query"), fixed.text))
    rejected = desk.draw()
    reason = region("r", REJECT, "choices", {"choices": ["other language"]})
    desk.annotator.submit_annotation(rejected.task_id, [reason])
    desk.session.execute(
        update(SelectionItemRow)
        .where(SelectionItemRow.utterance_id == fixed.utterance_id)
        .values(arms=["strategy", "noise"])
    )
    open_task = desk.draw()
    desk.collect()
    assert desk.mark() == 3
    assert [desk.data(task)["review"] for task in (accepted, fixed, rejected)] == [
        "accepted", "fixed", "rejected: other language"
    ]  # fmt: skip
    assert [desk.data(task)["suspected_label_error"] for task in (accepted, fixed, rejected)] == ["no", "yes", "no"]
    for task in (accepted, fixed, rejected):
        assert set(desk.data(task)) == FIXED_COLUMNS | MARKED
        score = desk.session.scalars(select(Score).where(Score.utterance_id == task.utterance_id)).one()
        assert score.el2n is not None
        assert desk.data(task)["entropy_at_import"] == f"{score.entropy / math.log(len(VOCABULARY.domains)):.1f}"
        assert desk.data(task)["el2n_at_import"] == f"{score.el2n / math.sqrt(2):.1f}"
    assert set(desk.data(open_task)) == FIXED_COLUMNS
    assert not any(name in str(desk.data(task)) for task in (accepted, fixed) for name in ("control", "strategy"))


def test_what_is_marked_is_marked_once_and_anew_where_the_review_has_changed(desk: Desk) -> None:
    task = accept(desk)
    desk.collect()
    assert desk.mark() == 1
    assert desk.mark() == 0
    desk.session.execute(update(AnnotationRow).values(verdict="fix"))
    assert desk.mark() == 1
    assert desk.data(task)["review"] == "fixed"


def test_what_is_open_again_tells_nothing_any_more(desk: Desk) -> None:
    task = accept(desk)
    desk.collect()
    desk.mark()
    stored = desk.server.project(desk.project_id).tasks[task.task_id]
    stored["annotations"].clear()
    stored["updated_at"] = desk.server.now()
    desk.collect()
    assert desk.mark() == 1
    assert {desk.data(task)[column] for column in MARKED} == {""}
    assert desk.mark() == 0


def test_second_opinions_are_no_reviews(desk: Desk) -> None:
    accept(desk)
    desk.collect()
    desk.session.execute(update(AnnotationRow).values(kind="second"))
    assert desk.mark() == 0


def test_a_project_that_is_gone_is_forgotten(desk: Desk) -> None:
    accept(desk)
    desk.collect()
    desk.server.projects.clear()
    assert desk.mark() == 0
    assert desk.mark() == 0
    assert set(desk.session.scalars(select(QueueTask.mark))) == {None}


@pytest.mark.parametrize(
    ("entropy", "el2n", "domains", "said"),
    [
        (math.log(3), math.sqrt(2), 3, ("1.0", "1.0")),
        (0.0, 0.0, 3, ("0.0", "0.0")),
        (math.log(4), None, 3, ("1.0", None)),  # a source's own scores have one class more
        (0.0, None, 1, (None, None)),
        (None, None, 3, (None, None)),
    ],
)
def test_scores_are_said_in_tenths_of_what_they_can_be(
    entropy: float | None, el2n: float | None, domains: int, said: tuple[str | None, str | None]
) -> None:
    found = marks.values(Mark(1, "fixed", False, entropy, el2n, domains))
    assert (found.get("entropy_at_import"), found.get("el2n_at_import")) == said

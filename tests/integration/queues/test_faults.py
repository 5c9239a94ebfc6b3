"""Label Studio, or what stands in between, fails in every way: nothing gets lost, and nothing is there twice."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import pytest
from sqlalchemy import select

import tasks.ingest
import tasks.selection
from db.models import AnnotationRow, Queue, QueueTask
from db.repositories import queues as queue_rows
from db.repositories import strata
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import DrawnTask
from plugin.label_studio.simulated_annotator import answer
from plugin.services import policies, scoring
from tasks.app import app
from tests import factories
from tests.fakes.scorer import FakeScorer
from tests.gateway import Fault, Gateway, gateway
from tests.integration.ingest.conftest import Recorder
from tests.label_studio_hands import listed
from tests.servers import LabelStudioServer

pytestmark = pytest.mark.label_studio

_numbers = itertools.count(1)
SHARE = 0.25  # of the requests go wrong
SLOW = (Fault.SLOW, Fault.LATE)
FAULTS = [fault for fault in Fault for _ in range(1 if fault in SLOW else 4)]
PATIENCE_S = 2.0
EVERY = 4  # requests, somebody draws a task and submits it
ROUNDS = 40


class Hasty(SdkLabelStudio):
    """Waits as often as the real one, and not as long."""

    def pause(self, seconds: float) -> None:
        super().pause(seconds / 40)


@dataclass
class Team:
    """Somebody who reviews now and then, whatever Assay is at, and speaks to Label Studio directly."""

    client: SdkLabelStudio
    project_id: int | None = None
    submitted: dict[int, DrawnTask] = field(default_factory=dict)  # by annotation
    failures: list[LabelStudioError] = field(default_factory=list)

    def review(self) -> None:
        if self.project_id is None:
            return
        try:
            task = self.client.next_task(self.project_id)
            if task is not None:
                _, result = answer(task, task.shown)
                self.submitted[self.client.submit_annotation(task.task_id, result)] = task
        except LabelStudioError as error:
            self.failures.append(error)


@dataclass
class Site:
    wiring: Recorder
    way: Gateway
    server: LabelStudioServer
    person: Team
    random: Random
    locale: str
    fails: bool = False
    requests: int = 0

    def mood(self, method: str, path: str) -> Fault | None:
        if not self.fails:
            return None
        self.requests += 1
        if self.requests % EVERY == 0:
            self.person.review()
        return self.random.choice(FAULTS) if self.random.random() < SHARE else None

    def arrive(self, count: int) -> None:
        with self.wiring.transaction() as session:
            source = f"log {next(_numbers)}"
            texts = [f"{source} says {number} n{number} m{number}" for number in range(count)]
            told = {"locale": self.locale, "domain": "music", "intent": "music_play", "nlu_score": 0.5}
            factories.log(session, texts, source=source, **told)

    def score(self) -> None:
        with self.wiring.transaction() as session:
            [batch] = scoring.read_batches(session, 0, 2**62)
            scoring.write(session, scoring.compute(batch, FakeScorer()))

    def set_policy(self, **changes: object) -> None:
        with self.wiring.transaction() as session:
            policies.change(session, self.locale, "*", changes, changed_by="test", comment="")

    def queue(self) -> Queue:
        with self.wiring.transaction() as session:
            [queue] = queue_rows.of_locale(session, self.wiring.instance, self.locale)
        self.person.project_id = queue.project_id
        return queue

    def work(self) -> None:
        """What workers and beat would do: whatever fails for good is found by the next sweep."""
        tasks.selection.sweep()
        messages, self.wiring.sent[:] = list(self.wiring.sent), []
        for name, *arguments in messages:
            assert_patient(app.tasks[name].apply(args=arguments).result)
            self.queue()
        self.collect()

    def collect(self) -> None:
        project_id = self.queue().project_id
        if project_id is not None:
            try:
                self.wiring.reconcile(project_id, wait=True, force=True)
            except LabelStudioError as error:
                assert_patient(error)

    def publish(self) -> None:
        """A round, until it is published, with all that goes wrong."""
        tasks.selection.refresh(self.locale)
        self.wiring.sent.clear()
        assert self.queue().dirty
        for _ in range(ROUNDS):
            self.fails = True
            self.work()
            self.fails = False
            if not self.queue().dirty:
                return
        pytest.fail(f"not published in {ROUNDS} rounds")

    def calm_down(self) -> None:
        """Nothing fails any more, and Label Studio has done what it was sent."""
        self.way.settle()
        for _ in range(2):
            self.work()


def assert_patient(result: object) -> None:
    """What fails does so in a way that has it tried again."""
    if isinstance(result, BaseException):
        assert isinstance(result, LabelStudioError), repr(result)
        assert result.may_pass, result


@pytest.fixture
def site(
    seed: int, clean_database_url: str, label_studio_server: LabelStudioServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    wiring = Recorder(clean_database_url)
    for module in (tasks.selection, tasks.ingest):
        monkeypatch.setattr(module, "get_wiring", lambda: wiring)
    [account] = label_studio_server.annotators(1)
    with (
        gateway(label_studio_server.url) as way,
        closing(Hasty(way.url, label_studio_server.token, timeout_s=PATIENCE_S, chunk=10)) as client,
        closing(SdkLabelStudio(label_studio_server.url, account.token, timeout_s=60)) as person,
    ):
        way.patience = PATIENCE_S
        wiring.use(client)
        site = Site(wiring, way, label_studio_server, Team(person), Random(seed), f"fr-{next(_numbers):03}")
        way.mood = site.mood
        wiring.sampling()  # tried before, while all was well
        yield site
        site.fails = False
        way.settle()
    wiring.engine.dispose()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in (2, 3, 4, 5))])
def test_whatever_fails_each_utterance_is_one_task_and_each_answer_is_collected_once(site: Site) -> None:
    site.arrive(80)
    with site.wiring.transaction() as session:
        factories.champion(session, site.locale)
    site.score()
    site.set_policy(strategy="entropy", budget=60, blind_share=0.0, overlap_share=0.0)
    site.publish()  # a new queue
    site.set_policy(strategy="margin")
    site.publish()  # all in another order
    site.arrive(20)
    site.score()
    site.publish()  # some slip in between
    site.calm_down()

    queue = site.queue()
    assert queue.project_id is not None
    assert len(set(site.way.faults)) > 5
    assert site.person.failures == []
    with site.wiring.transaction() as session:
        assert queue.selection_id is not None
        round_id = strata.round_id(session, queue.selection_id)
        assert round_id is not None
        planned = {item.utterance_id for item in strata.items(session, round_id) if not item.is_dropped}
        rows = session.scalars(select(QueueTask).where(QueueTask.queue_id == queue.id)).all()
        known = [(row.utterance_id, row.task_id) for row in rows if row.task_id is not None]
        codes = {row.task_id: row.rank_code for row in rows}
        collected = session.scalars(select(AnnotationRow.annotation_id).order_by(AnnotationRow.annotation_id)).all()
    there = listed(site.server, queue.project_id)
    assert sorted((task["data"]["utterance_id"], task["id"]) for task in there) == sorted(known)
    assert set(Counter(utterance for utterance, _ in known).values()) == {1}
    assert planned <= {utterance for utterance, _ in known}
    served = site.wiring.label_studio.get_project(queue.project_id)["model_version"]
    for task in there:
        versions = Counter(prediction["model_version"] for prediction in task["predictions"])
        assert set(versions.values()) == {1}, task
        scores = [one["score"] for one in task["predictions"] if one["model_version"] == served]
        assert task["annotations"] or scores == [codes[task["id"]]], task
    given = sorted(annotation["id"] for task in there for annotation in task["annotations"])
    assert collected == given
    assert len(given) > 5
    # Of a copy that an interrupted import brought late, an answer may come between the look at it and its deletion.
    lost = [task for number, task in site.person.submitted.items() if number not in given]
    assert {task.task_id for task in lost}.isdisjoint(task["id"] for task in there)
    assert {task.utterance_id for task in lost} <= {utterance for utterance, _ in known}
    assert len(lost) <= 1 + len(given) // 20
    assert max(len(task["annotations"]) for task in there) == 1
    assert queue.importing_since is None or queue.importing_since < datetime.now(UTC)

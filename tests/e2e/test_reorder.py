"""A new policy, or a new model, re-orders a whole queue by one request, while people draw from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import select

from db.models import AnnotationRow, QueueTask
from plugin.services.ingest import Collected, reconcile
from plugin.stack.accounts import access_token
from tests import factories
from tests.e2e.queue_site import INSTANCE, Site, queue_site
from tests.e2e.team import Draw, Team, after, before, behind, overtaken, team
from tests.fakes.scorer import FakeScorer
from tests.gateway import Gateway, Passed, gateway
from tests.servers import LabelStudioServer

pytestmark = pytest.mark.label_studio

PEOPLE = 4
FINISHED = 5  # before anything is re-ordered


@dataclass(frozen=True)
class Size:
    """`pause`: of a person between two tasks; `after`: so many tasks are drawn in the new order."""

    tasks: int
    pause: float
    after: int


SMALL = Size(tasks=200, pause=0.0, after=40)
FULL = Size(tasks=50_000, pause=1.0, after=60)


@pytest.fixture
def way(label_studio_server: LabelStudioServer) -> Iterator[Gateway]:
    """By which Assay itself speaks to Label Studio, and nobody else."""
    with gateway(label_studio_server.url) as way:
        yield way


@pytest.fixture
def site(clean_database_url: str, label_studio_server: LabelStudioServer, way: Gateway) -> Iterator[Site]:
    with queue_site(clean_database_url, label_studio_server, url=way.url, timeout_s=600) as site:
        yield site


@dataclass
class Shift:
    """People who draw, submit and pause, until the shift ends; what they hold then they submit."""

    team: Team
    project: int
    pause: float
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self, person: int) -> None:
        while not self.stop.is_set() and (draw := self.team.draw(person, self.project)) is not None:
            self.stop.wait(self.pause)
            self.team.submit(draw)

    def wait_for(self, count: int) -> None:
        """Until so many more are drawn."""
        count += len(self.team.draws)
        while len(self.team.draws) < count:
            assert self.at_work(), "all have stopped drawing"
            time.sleep(0.05)

    def at_work(self) -> bool:
        return not all(worker.done() for worker in self.workers)

    @contextmanager
    def of(self, people: Sequence[int]) -> Iterator[Shift]:
        with ThreadPoolExecutor(len(people)) as pool:
            self.workers = [pool.submit(self.work, person) for person in people]
            try:
                yield self
            finally:
                self.stop.set()
        for worker in self.workers:
            worker.result()


def another_policy(site: Site) -> None:
    site.set_policy(strategy="margin")


def another_model(site: Site) -> None:
    with site.transaction() as session:
        factories.champion(session, site.locale, name=f"fake-2 of {site.locale}")
    site.score(FakeScorer(seeds=(6, 7, 8, 9, 10)))


def collect(site: Site, project: int) -> Collected:
    return reconcile(site.transaction, site.admin, INSTANCE, project, overlap=timedelta(0), force=True)


def of_flip(asked: Sequence[Passed], project: int) -> tuple[list[Passed], list[Passed]]:
    """The requests that bring the predictions of the new order, and those that come after the last of them."""
    path = f"/api/projects/{project}/import/predictions"
    imports = [number for number, request in enumerate(asked) if request.path == path]
    return [asked[number] for number in imports], list(asked[imports[-1] + 1 :])


@pytest.mark.parametrize(
    ("size", "anew"),
    [
        pytest.param(SMALL, another_policy, id="200 tasks, another policy"),
        pytest.param(SMALL, another_model, id="200 tasks, another model"),
        pytest.param(
            FULL, another_model, id="50000 tasks, another model", marks=[pytest.mark.full, pytest.mark.timeout(3600)]
        ),
    ],
)
def test_a_queue_is_ordered_anew_by_one_request(
    site: Site, way: Gateway, size: Size, anew: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    site.fill(size=size.tasks * 11 // 10, budget=size.tasks)
    first = site.new_round(seed=1)
    began = time.monotonic()
    assert site.publish().imported == len(first.order) == size.tasks
    published_s = time.monotonic() - began
    project = site.project()

    with team(site.server, PEOPLE) as at_queue:
        for _ in range(FINISHED):
            draw = at_queue.draw(1, project)
            assert draw is not None
            at_queue.submit(draw)
        began = time.monotonic()
        assert collect(site, project).new == FINISHED
        collected_s = time.monotonic() - began
        finished = [draw.task.task_id for draw in at_queue.draws]
        as_it_was = [raw_task(site.server, task_id)["annotations"] for task_id in finished]

        held = at_queue.draw(0, project)  # who goes to lunch now, and submits after the new order has come
        assert held is not None
        anew(site)
        second = site.new_round(seed=2)
        asked_before = len(way.asked)
        with Shift(at_queue, project, size.pause).of(range(1, PEOPLE)) as shift:
            shift.wait_for(10)
            began = time.monotonic()
            done = site.publish()
            reordered_s = time.monotonic() - began
            shift.wait_for(size.after)
        assert shift.pause or len(at_queue.draws) > 60
        again = at_queue.draw(0, project)
        assert again is not None
        assert again.task.task_id == held.task.task_id, "who holds a task keeps it"
        at_queue.draws.remove(again)
        at_queue.submit(held)
    draws = at_queue.draws
    assert done.imported + done.reordered > size.tasks * 9 // 10
    assert done.leaving > 0

    imports, then = of_flip(way.asked[asked_before:], project)
    assert [(request.method, request.path) for request in then] == [("PATCH", f"/api/projects/{project}/")]
    [flip] = then
    assert flip.json == {"model_version": site.admin.get_project(project)["model_version"]}

    old, new = before(draws, flip.began), after(draws, flip.ended)
    between = [draw for draw in draws if draw not in old and draw not in new]
    assert len(between) <= PEOPLE - 1
    leaving = [utterance_id for utterance_id in first.order if utterance_id not in second.part]
    orders = first.order, [*second.order, *leaving]
    assert len({draw.utterance_id for draw in draws}) == len(draws)
    # Not two orders mixed: whatever is served is among the first of the one order that is left, and never far down.
    assert max(behind(old, orders[0])) <= 2 * PEOPLE
    assert max(behind(new, orders[1], done=[*old, *between])) <= 2 * PEOPLE
    assert all(min(behind([draw], order, done=old)[0] for order in orders) <= 2 * PEOPLE for draw in between)
    passed_over = [*overtaken(old, orders[0]), *overtaken(new, orders[1])]
    assert len(passed_over) <= len(draws) // 50

    collected = collect(site, project)
    assert (collected.new, collected.updated, collected.withdrawn) == (len(draws) - FINISHED, 0, 0)
    assert (collected.removed, collected.problems) == (0, ())
    assert [raw_task(site.server, task_id)["annotations"] for task_id in finished] == as_it_was
    with site.transaction() as session:
        is_done = (QueueTask.queue_id == site.queue().id) & (QueueTask.state == "annotated")
        done_ids = session.scalars(select(QueueTask.task_id).where(is_done).order_by(QueueTask.task_id)).all()
        answered = session.scalars(select(AnnotationRow.task_id).order_by(AnnotationRow.task_id)).all()
    assert done_ids == answered == sorted(draw.task.task_id for draw in draws)

    predicting = imports[-1].ended - imports[0].began
    with capsys.disabled():
        print(
            f"\n{size.tasks} tasks: published in {published_s:.1f} s, first collected in {collected_s:.1f} s; "
            f"a new order in {reordered_s:.1f} s, of which {done.reordered + done.leaving} predictions "
            f"{predicting:.1f} s, the one request {flip.ended - flip.began:.2f} s, while {PEOPLE - 1} people drew "
            f"{len(old)} tasks; next task {seconds(old)} before, {seconds(new)} after; {len(passed_over)} passed over"
        )


def seconds(draws: Sequence[Draw]) -> str:
    middle, high = np.quantile([draw.ended - draw.began for draw in draws], [0.5, 0.95])
    return f"{middle:.2f} s (p95 {high:.2f} s)"


def raw_task(server: LabelStudioServer, task_id: int) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {access_token(server.url, server.token)}"}
    with closing(httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False)) as http:
        found: dict[str, Any] = http.get(f"/api/tasks/{task_id}/").raise_for_status().json()
        return found

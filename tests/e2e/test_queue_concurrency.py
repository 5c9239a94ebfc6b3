"""A team draws from one queue of a real Label Studio on PostgreSQL: in planned order, and never the same twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from db.models import AnnotationRow, QueueTask
from plugin.services.ingest import reconcile
from plugin.stack.accounts import access_token
from tests.e2e.queue_site import INSTANCE, Site, queue_site
from tests.e2e.team import after, before, overtaken, tau, team, worst_share
from tests.servers import LabelStudioServer

pytestmark = pytest.mark.label_studio


@pytest.fixture
def site(clean_database_url: str, label_studio_server: LabelStudioServer) -> Iterator[Site]:
    with queue_site(clean_database_url, label_studio_server) as site:
        yield site


@pytest.mark.parametrize(
    ("people", "budget"),
    [
        pytest.param(4, 200, id="4 people, 200 tasks"),
        pytest.param(8, 2000, id="8 people, 2000 tasks", marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
def test_a_team_is_served_the_plan_before_during_and_after_a_new_round(
    site: Site, people: int, budget: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.fill(size=budget * 3 // 2, budget=budget)
    first = site.new_round(seed=1)
    assert site.publish().imported == len(first.order) == budget
    project = site.project()
    assert worst_share(first.order, first.part) < 1
    site.watch_the_flip(monkeypatch)

    with team(site.server, people) as at_queue:
        held = at_queue.draw(0, project)  # who goes to lunch now, and submits after the new round has come
        assert held is not None
        with at_queue.at_work(project, range(1, people)) as wait_for:
            wait_for(budget // 4)
            site.set_policy(strategy="margin")
            second = site.new_round(seed=2)
            done_before = site.publish()
            flipped = len(at_queue.draws)
        assert at_queue.draw(0, project) is not None
        assert at_queue.draws[-1].task.task_id == held.task.task_id
        at_queue.draws.pop()
        at_queue.submit(held)
        # Nothing random, though Label Studio and the pool have more: the queue is empty.
        assert [client.next_task(project) for client in at_queue.people] == [None] * people
    draws = at_queue.draws
    assert budget // 4 <= flipped < len(draws), "the new round came too late to be seen"
    assert done_before.leaving > 0

    served = [draw.utterance_id for draw in draws]
    assert len(set(served)) == len(served)
    assert set(served) >= set(second.order)
    began, ended = site.flipped
    old, new = before(draws, began), after(draws, ended)
    leaving = [utterance_id for utterance_id in first.order if utterance_id not in second.part]
    planned = [*second.order, *leaving]
    passed_over = [*overtaken(old, first.order), *overtaken(new, planned)]
    figures = (
        f"tau {tau(old, first.order):.4f} over {len(old)} served, {tau(new, planned):.4f} over {len(new)}; "
        f"{len(passed_over)} passed over, by {max(passed_over, default=0)} at most"
    )
    with capsys.disabled():
        print(f"\n{people} people, {budget} tasks: {figures}")
    assert len(passed_over) <= len(draws) // 100
    assert max(passed_over, default=0) <= people
    assert tau(old, first.order) >= 0.99
    assert tau(new, planned) >= 0.99
    # Served is planned but for what the others hold at the moment: so are the shares of every prefix.
    assert worst_share([draw.utterance_id for draw in old], first.part) < 1 + people

    collected = reconcile(site.transaction, site.admin, INSTANCE, project, overlap=timedelta(0))
    assert (collected.new, collected.removed, collected.problems) == (len(draws), 0, ())
    with site.transaction() as session:
        assert len(set(session.scalars(select(AnnotationRow.utterance_id)))) == len(draws)
        states = select(QueueTask.state).where(QueueTask.queue_id == site.queue().id)
        assert set(session.scalars(states)) == {"annotated"}


def test_begun_and_finished_work_stays_and_what_leaves_is_served_last(site: Site) -> None:
    site.fill(size=60, budget=20)
    site.set_policy(blind_share=0.0)  # what nothing is filled in for cannot be accepted
    first = site.new_round(seed=1)
    site.publish()
    project = site.project()
    with team(site.server, 2) as people:
        finished = people.draw(0, project)
        assert finished is not None
        people.submit(finished)
        states = {state.utterance_id: state for state in site.admin.list_tasks(project)}
        begun = states[first.order[-1]].task_id
        with as_person(site.server, 1) as browser:
            draft = {"result": [], "lead_time": 1, "draft_id": 0, "project": project}
            browser.post(f"/api/tasks/{begun}/drafts", json=draft).raise_for_status()
        site.set_policy(nlu_low=0.9, nlu_high=1.0)  # the next round takes none of them
        with site.transaction() as session:
            newer = site.arrive(session, 5, "music", "music_play", nlu_score=0.95)
        site.score()
        second = site.new_round(seed=2)
        assert set(second.order) == set(newer)
        assert site.publish().leaving == 20  # Label Studio's news were not asked for: it counts as open
        still = {state.task_id: state for state in site.admin.list_tasks(project)}
        [review] = still[finished.task.task_id].reviews
        assert (review.utterance_id, review.verdict) == (finished.utterance_id, "accept")
        assert still[begun].has_draft
        served = []
        while (draw := people.draw(0, project)) is not None:
            served.append(draw.utterance_id)
            people.submit(draw)
        assert served == [*second.order, *(id_ for id_ in first.order if id_ != finished.utterance_id)]


def test_nothing_that_a_person_can_see_differs_by_arm(site: Site) -> None:
    site.fill(size=90, budget=60)
    site.set_policy(blind_share=0.0)  # what is shown blind is drawn by hash, whatever its arm: tested elsewhere
    planned = site.new_round(seed=1)
    site.publish()
    assert set(planned.part.values()) == {"control", "noise", "hard", "easy"}
    project = site.project()
    with as_person(site.server, 0) as browser:
        shown = browser.get("/api/tasks/", params={"project": project, "fields": "all", "page_size": 100}).json()
        columns = browser.get("/api/dm/columns", params={"project": project}).json()["columns"]
        served = browser.post("/api/dm/actions", params={"id": "next_task", "project": project}, json={}).json()
    assert sorted(column["id"] for column in columns if column.get("parent") == "data") == [
        "record", "source", "text", "utterance_id",
    ]  # fmt: skip
    tasks = {task["data"]["utterance_id"]: task for task in shown["tasks"]}
    assert set(tasks) == set(planned.order)
    by_arm: dict[str, set[str]] = defaultdict(set)
    for utterance_id, task in tasks.items():
        by_arm[planned.part[utterance_id]] |= leaves(task).keys()
    assert by_arm["control"] == by_arm["hard"] == by_arm["noise"] == by_arm["easy"]
    # What varies between tasks is what they are, when they were made, and their place: nothing else.
    everything = [leaves(task) for task in tasks.values()]
    varying = {path for path in everything[0] if len({task[path] for task in everything}) > 1}
    assert varying - {
        "id",
        "inner_id",
        "created_at",
        "updated_at",
        "data.utterance_id",
        "data.text",
        "data.record",
    } <= {path for path in everything[0] if path.startswith("predictions")}
    assert {path.rpartition(".")[2] for path in varying if path.startswith("predictions")} <= {
        "id", "task", "score", "created_at", "updated_at", "created_ago", "text", "predictions_score",
        "predictions_results",
    }  # fmt: skip
    words = json.dumps([shown["tasks"], served]).lower()
    assert not [word for word in ("control", "strategy", "noise", "hard", "easy", "entropy") if word in words]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def as_person(server: LabelStudioServer, number: int) -> httpx.Client:
    token = access_token(server.url, server.annotators(number + 1)[number].token)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False)


def leaves(value: object, path: str = "") -> dict[str, str]:
    """Every value of a JSON document by its path; places in lists do not count."""
    if isinstance(value, Mapping):
        children = [(f"{path}.{key}" if path else str(key), child) for key, child in value.items()]
    elif isinstance(value, list):
        children = [(path, child) for child in value]
    else:
        return {path: json.dumps(value)}
    found: dict[str, str] = {}
    for name, child in children:
        for leaf, said in leaves(child, name).items():
            found[leaf] = f"{found[leaf]} {said}" if leaf in found else said
    return found

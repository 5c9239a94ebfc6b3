"""Publishing: a round's new queue into Label Studio, and a new round into a queue that is there, against the same bulk
calls by themselves; and against one request for each task.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
from sqlalchemy import Engine

from db.models import Queue
from db.repositories import queues as queue_rows
from db.session import transaction_maker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import project_settings, task_json
from plugin.services import policies, queues, scoring, selection
from plugin.services.ingest import score_ranges
from plugin.stack.accounts import access_token
from tests import factories, servers
from tests.benchmarks import data
from tests.benchmarks.compare import Benchmark
from tests.benchmarks.data import Site
from tests.fakes.scorer import FakeScorer
from tests.servers import LabelStudioServer

DOMAIN = "light"
# Of this many utterances of the corpus, some 600 are of the domain.
DRAWN_FROM = 4000
INSTANCE = "main"
ONE_BY_ONE = 60  # some ten seconds

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Bench:
    """Where queues are planned. Every plan has a locale of its own, so a queue and a project of its own."""

    site: Site
    server: LabelStudioServer
    client: SdkLabelStudio
    engine: Engine
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def size(self) -> int:
        return self.site.size

    def publish(self, queue_id: int) -> queues.Published | None:
        transaction = transaction_maker(self.engine)
        return queues.publish(transaction, self.client, INSTANCE, queue_id, datetime.now(UTC))

    def plan_queue(self) -> int:
        """A pool of one domain, scored and selected: a queue that waits to be published."""
        locale = f"{data.LOCALE}-{next(self.numbers):03}"
        transaction = transaction_maker(self.engine)
        examples = [example for example in data.corpus(DRAWN_FROM) if example.label.domain == DOMAIN]
        log = data.write_log(self.site.folder / f"{locale}.jsonl", data.records(examples, self.size, locale))
        ids = data.take_log(transaction, log, source=locale)
        with transaction() as session:
            factories.champion(session, locale, name=f"champion-{locale}")
            whole = {"strategy": "entropy", "budget": self.size, "nlu_low": 0.0, "nlu_high": 1.0}
            policies.change(session, locale, "*", whole, changed_by="benchmark", comment="")
        for first_id, last_id in score_ranges(ids, self.site.settings.scoring_batch_size):
            with transaction() as session:
                for batch in scoring.read_batches(session, first_id, last_id):
                    scoring.write(session, scoring.compute(batch, FakeScorer()))
        selection.refresh(transaction, locale, datetime.now(UTC), INSTANCE)
        with transaction() as session:
            [queue] = queue_rows.of_locale(session, INSTANCE, locale)
        return queue.id

    def planned(self, queue_id: int) -> tuple[dict[str, Any], list[Json]]:
        """The project and the tasks of a queue as Assay would make them."""
        with transaction_maker(self.engine)() as session:
            plan = queues.read_plan(session, queue_id)
        assert plan is not None
        settings = project_settings(plan.queue.locale, plan.queue.domain, plan.labels, plan.description)
        return settings, [task_json(item, plan.model_version, plan.labels) for item in plan.new]

    def reference_project(self, settings: Mapping[str, Any]) -> int:
        return self.client.create_project({**settings, "title": f"reference {settings['title']}"[:50]})

    @contextmanager
    def http(self) -> Iterator[httpx.Client]:
        """With an access token, which lives for five minutes, and a connection that is open."""
        headers = {
            "Authorization": f"Bearer {access_token(self.server.url, self.server.token)}",
            "Content-Type": "application/json",
        }
        timeout = self.site.settings.label_studio_timeout_seconds
        with httpx.Client(base_url=self.server.url, headers=headers, timeout=timeout, trust_env=False) as http:
            http.get("/health")
            yield http

    def bodies(self, items: Sequence[Json]) -> list[bytes]:
        step = self.site.settings.label_studio_import_chunk
        return [orjson.dumps(items[start : start + step]) for start in range(0, len(items), step)]

    def check(self, project_id: int, tasks: int, predictions: int) -> None:
        project = self.client.get_project(project_id)
        assert (project["task_number"], project["total_predictions_number"]) == (tasks, predictions)


@dataclass(frozen=True)
class Publish:
    """A queue that is new, against the bulk import of its tasks."""

    bench: Bench
    name: str = "publish"
    against: str = "bulk import"

    @property
    def size(self) -> int:
        return self.bench.size

    @contextmanager
    def ours(self) -> Iterator[Callable[[], None]]:
        queue_id = self.bench.plan_queue()
        done: list[queues.Published | None] = []
        yield lambda: done.append(self.bench.publish(queue_id))
        assert done == [queues.Published(queue_id, self.size, 0, 0)], done

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        """The bodies are bytes already, the project is there, and nobody looks up what it holds."""
        settings, tasks = self.bench.planned(self.bench.plan_queue())
        project_id = self.bench.reference_project(settings)
        bodies = self.bench.bodies(tasks)
        with self.bench.http() as http:
            yield lambda: post(http, f"/api/projects/{project_id}/import", bodies)
        self.bench.check(project_id, self.size, self.size)


@dataclass(frozen=True)
class Reorder:
    """A new round of the same items: all in another order, against the bulk import of as many predictions."""

    bench: Bench
    name: str = "re-order"
    against: str = "bulk predictions"

    @property
    def size(self) -> int:
        return self.bench.size

    @contextmanager
    def ours(self) -> Iterator[Callable[[], None]]:
        queue_id = self.bench.plan_queue()
        self.bench.publish(queue_id)
        with transaction_maker(self.bench.engine)() as session:
            locale = session.get_one(Queue, queue_id).locale
        transaction = transaction_maker(self.bench.engine)
        selection.refresh(transaction, locale, datetime.now(UTC), INSTANCE, seed=1)
        done: list[queues.Published | None] = []
        yield lambda: done.append(self.bench.publish(queue_id))
        assert done == [queues.Published(queue_id, 0, self.size, 0)], done

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        settings, tasks = self.bench.planned(self.bench.plan_queue())
        project_id = self.bench.reference_project(settings)
        task_ids = self.bench.client.import_tasks(project_id, tasks, is_new=True)
        again = [
            {"task": task_id, **prediction, "model_version": "another"}
            for task_id, task in zip(task_ids, tasks, strict=True)
            for prediction in task["predictions"]
        ]
        bodies = self.bench.bodies(again)
        with self.bench.http() as http:
            yield lambda: post(http, f"/api/projects/{project_id}/import/predictions", bodies)
        self.bench.check(project_id, self.size, 2 * self.size)


@dataclass(frozen=True)
class OneByOne(Publish):
    """A queue that is new, against the same call once for each task: of so many of them that it ends."""

    name: str = "publish"
    against: str = "one a request"

    @property
    def reference_size(self) -> int:
        return min(self.size, ONE_BY_ONE)

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        settings, tasks = self.bench.planned(self.bench.plan_queue())
        project_id = self.bench.reference_project(settings)
        bodies = [orjson.dumps([task]) for task in tasks[: self.reference_size]]
        with self.bench.http() as http:
            yield lambda: post(http, f"/api/projects/{project_id}/import", bodies)
        self.bench.check(project_id, self.reference_size, self.reference_size)


@contextmanager
def prepared(site: Site) -> Iterator[list[Benchmark]]:
    site.say("publish: starting Label Studio (minutes, the first time)")
    with servers.label_studio_server(site.folder, site.server) as server, prepared_on(site, server) as benchmarks:
        yield benchmarks


@contextmanager
def prepared_on(site: Site, server: LabelStudioServer) -> Iterator[list[Benchmark]]:
    client = SdkLabelStudio(
        server.url,
        server.token,
        timeout_s=site.settings.label_studio_timeout_seconds,
        chunk=site.settings.label_studio_import_chunk,
    )
    with closing(client), data.database(site.server, site.template) as engine:
        bench = Bench(site, server, client, engine)
        yield [Publish(bench), Reorder(bench), OneByOne(bench)]


def post(http: httpx.Client, path: str, bodies: Sequence[bytes]) -> None:
    for body in bodies:
        http.post(path, content=body).raise_for_status()

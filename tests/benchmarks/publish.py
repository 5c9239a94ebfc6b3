"""Publishing: a round's new queue into Label Studio, against Label Studio's own bulk import of the same tasks."""

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

from db.repositories import queues as queue_rows
from db.session import transaction_maker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import project_settings, task_json
from plugin.services import policies, queues, scoring, selection
from plugin.services.ingest import score_ranges
from plugin.stack.accounts import access_token
from tests import factories, servers
from tests.benchmarks import data
from tests.benchmarks.data import Site
from tests.fakes.scorer import FakeScorer
from tests.servers import LabelStudioServer

DOMAIN = "light"
# Of this many utterances of the corpus, some 600 are of the domain.
DRAWN_FROM = 4000
INSTANCE = "main"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Publish:
    """Every run has a locale of its own, so a queue and a project of its own."""

    site: Site
    server: LabelStudioServer
    client: SdkLabelStudio
    engine: Engine
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    name: str = "publish"
    against: str = "bulk import"

    @property
    def size(self) -> int:
        return self.site.size

    @contextmanager
    def ours(self) -> Iterator[Callable[[], None]]:
        queue_id = self.plan_queue()
        done: list[queues.Published | None] = []
        transaction = transaction_maker(self.engine)
        yield lambda: done.append(queues.publish(transaction, self.client, INSTANCE, queue_id, datetime.now(UTC)))
        assert done == [queues.Published(queue_id, self.size, 0, 0)], done

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        """The bodies are bytes already, the project is there, and nobody looks up what it holds."""
        settings, tasks = self.planned(self.plan_queue())
        project_id = self.client.create_project({**settings, "title": f"reference {settings['title']}"[:50]})
        step = self.site.settings.label_studio_import_chunk
        bodies = [orjson.dumps(tasks[start : start + step]) for start in range(0, len(tasks), step)]
        headers = {
            "Authorization": f"Bearer {access_token(self.server.url, self.server.token)}",
            "Content-Type": "application/json",
        }
        timeout = self.site.settings.label_studio_timeout_seconds
        with httpx.Client(base_url=self.server.url, headers=headers, timeout=timeout, trust_env=False) as http:
            yield lambda: post(http, f"/api/projects/{project_id}/import", bodies)
        project = self.client.get_project(project_id)
        assert (project["task_number"], project["total_predictions_number"]) == (self.size, self.size)

    def plan_queue(self) -> int:
        """A pool of one domain, scored and selected: a queue that waits to be published."""
        locale = f"{data.LOCALE}-{next(self.numbers):03}"
        transaction = transaction_maker(self.engine)
        examples = [example for example in data.corpus(DRAWN_FROM) if example.label.domain == DOMAIN]
        log = data.write_log(self.site.folder / f"{locale}.jsonl", data.records(examples, self.size, locale))
        ids = data.take_log(transaction, log, source=locale)
        with transaction() as session:
            factories.champion(session, locale, name=f"champion-{locale}")
            whole = {"budget": self.size, "nlu_low": 0.0, "nlu_high": 1.0}
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


@contextmanager
def prepared(site: Site) -> Iterator[Publish]:
    site.say("publish: starting Label Studio (minutes, the first time)")
    with servers.label_studio_server(site.folder, site.server) as server, prepared_on(site, server) as benchmark:
        yield benchmark


@contextmanager
def prepared_on(site: Site, server: LabelStudioServer) -> Iterator[Publish]:
    client = SdkLabelStudio(
        server.url,
        server.token,
        timeout_s=site.settings.label_studio_timeout_seconds,
        chunk=site.settings.label_studio_import_chunk,
    )
    with closing(client), data.database(site.server, site.template) as engine:
        yield Publish(site, server, client, engine)


def post(http: httpx.Client, path: str, bodies: Sequence[bytes]) -> None:
    for body in bodies:
        http.post(path, content=body).raise_for_status()

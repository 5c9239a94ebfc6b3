"""Utterances come in by the minute while people work: they find their places in the queues, and nothing gets lost.

On real parts: PostgreSQL, Redis, web, beat, workers, and a Label Studio that is restarted once in between; a third of
its webhooks is lost on the way.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, create_engine, text

from tests import servers
from tests.e2e.assay import Assay, answers, wait_for
from tests.e2e.live import LOCALE, Log, lines, lossy_webhooks, people, stream
from tests.label_studio_hands import listed
from tests.servers import PostgresServer, RestartableLabelStudio, free_port

pytestmark = pytest.mark.label_studio

DOMAINS = ("homeassistant", "light", "media_player", "fan", "climate", "cover", "switch", "lock")
LOST = 0.3
INGEST_TOKEN = "a token of this test"
# Where an utterance became a task, and when; and when the stratum that chose it was written.
PLACES = text(
    "SELECT u.id, u.ingested_at, s.extends_id IS NOT NULL, q.project_id, t.task_id FROM queue_tasks t"
    " JOIN queues q ON q.id = t.queue_id JOIN utterances u ON u.id = t.utterance_id"
    " JOIN selections s ON s.id = (SELECT min(i.selection_id) FROM selection_items i WHERE i.utterance_id = u.id)"
    " WHERE u.source = 'live' AND q.kind = 'review' AND t.task_id IS NOT NULL"
)


@dataclass(frozen=True)
class Size:
    domains: int
    budget: int
    pool: int
    per_minute: int
    seconds: int
    restart_after: int
    people: int


SMALL = Size(domains=3, budget=180, pool=900, per_minute=240, seconds=45, restart_after=12, people=2)
FULL = Size(domains=8, budget=4000, pool=24_000, per_minute=1000, seconds=300, restart_after=120, people=4)


@dataclass
class Site:
    size: Size
    assay: Assay
    engine: Engine
    web: str
    label_studio: RestartableLabelStudio
    log: Log

    def rows(self, query: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(query).all())

    def one(self, query: str) -> Any:
        return self.rows(text(query))[0][0]

    def projects(self) -> list[int]:
        return [row[0] for row in self.rows(text("SELECT project_id FROM queues WHERE kind = 'review' ORDER BY id"))]

    def listed(self, project_id: int) -> list[dict[str, Any]]:
        return listed(self.label_studio.server, project_id)


@pytest.fixture
def folder() -> Iterator[Path]:
    with servers.scratch_folder() as folder:
        yield folder


@pytest.fixture(
    params=[
        pytest.param(SMALL, id="240 a minute"),
        pytest.param(FULL, id="1000 a minute", marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ]
)
def site(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    folder: Path,
    postgres_server: PostgresServer,
    clean_database_url: str,
    redis_url: str,
) -> Iterator[Site]:
    """A pool with its first round served; beat, workers and web are running."""
    size: Size = request.param
    port, hooks = free_port(), free_port()
    web = f"http://127.0.0.1:{port}"
    engine = create_engine(clean_database_url)
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        database = f"label_studio_live_{size.domains}"
        label_studio = stack.enter_context(servers.restartable_label_studio(folder, postgres_server, database))
        assay = Assay(
            tmp_path,
            {
                "ASSAY_HOME": str(tmp_path / "home"),
                "ASSAY_DATABASE_URL": clean_database_url,
                "ASSAY_BROKER_URL": redis_url,
                "ASSAY_LABEL_STUDIO_URL": label_studio.server.url,
                "ASSAY_LABEL_STUDIO_TOKEN": label_studio.server.token,
                "ASSAY_LABEL_STUDIO_INSTANCE": tmp_path.name,
                "ASSAY_WEBHOOK_BASE_URL": f"http://127.0.0.1:{hooks}",
                "ASSAY_WEBHOOK_SECRET": "a secret of this test",
                "ASSAY_INGEST_TOKEN": INGEST_TOKEN,
                "ASSAY_REPLICATES": "2",
                "ASSAY_DEVICE": "cpu",
            },
        )
        losses = stack.enter_context(lossy_webhooks(web, hooks, share=LOST))
        command = ("uvicorn", "plugin.web.app:create_app", "--factory", "--port", str(port))
        stack.enter_context(assay.process("web", *command, is_ready=lambda: answers(f"{web}/health/live")))
        for name in ("worker", "worker-scoring"):
            stack.enter_context(assay.worker(name))
        site = Site(size, assay, engine, web, label_studio, Log(DOMAINS[: size.domains]))
        train(site, tmp_path)
        fill(site, tmp_path)
        ready = (tmp_path / "beat.ready").exists
        stack.enter_context(assay.process("beat", "celery", "-A", "tasks", "beat", is_ready=ready))
        yield site
        assert losses.passed > 0
        assert losses.lost > 0


def train(site: Site, folder: Path) -> None:
    corpus, pool = folder / "corpus.jsonl", folder / "pool"
    site.assay("data", "demo-corpus", "--locale", LOCALE, "--size", 900, "--output", corpus)
    site.assay("data", "simulate-wsl", corpus, "--output", pool, "--trusted", 300, "--dev", 60, "--test", 150)
    for name in ("train", "dev"):
        site.assay("ingest", "annotations", pool / f"gold-{name}.jsonl", "--partition", name)
    site.assay("evaluation", "train", "--locale", LOCALE)


def fill(site: Site, folder: Path) -> None:
    path = folder / "log.jsonl"
    path.write_bytes(lines(site.log.take(site.size.pool)))
    site.assay("ingest", "utterances", path, "--source", "log")
    site.assay("scoring", "backfill", "--locale", LOCALE)
    site.assay(
        *("policy", "set", "--locale", LOCALE, "--strategy", "entropy", "--allocation", "equal"),
        *("--budget", site.size.budget, "--nlu-band", 0.0, 1.0, "--overlap-share", 0.0),
    )
    site.assay("selection", "refresh", "--locale", LOCALE)


def test_what_comes_in_finds_its_place(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    size = site.size
    round_id = site.one("SELECT max(id) FROM selections")
    tokens = [person.token for person in site.label_studio.server.annotators(size.people)]
    with people(site.label_studio.server.url, tokens, site.projects(), pause=1.5) as workers:
        restart = threading.Timer(size.restart_after, site.label_studio.restart)
        restart.start()
        sent = stream(site.web, INGEST_TOKEN, site.log, per_minute=size.per_minute, seconds=size.seconds)
        restart.join()
        time.sleep(5)
    assert sent >= size.per_minute * size.seconds / 60 - 1
    assert sum(worker.refused for worker in workers) > 0, "Label Studio was never away"
    settle(site)

    submitted = Counter(task_id for worker in workers for task_id in worker.submitted)
    assert submitted
    assert set(submitted.values()) == {1}
    reconciled(site, set(submitted))
    placed(site, sent)
    slipped, flipped = latencies(site)
    assert slipped, "nothing slipped in"
    newer = site.one(f"SELECT count(*) FROM selections WHERE extends_id IS NULL AND id > {round_id}")
    figures = (
        f"{sent} utterances in {size.seconds} s; {len(slipped)} slipped in: {quantiles(slipped)} from arrival; "
        f"{len(flipped)} came by {newer} new rounds{': ' + quantiles(flipped) if flipped else ''}; "
        f"{len(submitted)} reviews; a re-order of all queues: {reorder(site):.1f} s"
    )
    with capsys.disabled():
        print(f"\n{figures}")
    if size is FULL:
        assert np.quantile(slipped, 0.95) <= 60, figures


def settle(site: Site) -> None:
    """Everything scored, looked at and published; every review collected."""

    def is_settled() -> bool:
        status = site.assay.json("status")
        [age] = status["ages"]
        unscored = sum(line["unscored"] for line in status["models"])
        return (
            not unscored and age["new_since"] is None and not any(q["waits_for_publishing"] for q in status["queues"])
        )

    wait_for("the queues to settle", is_settled)
    site.assay("ingest", "reconcile")


def reconciled(site: Site, submitted: set[int]) -> None:
    """Every answer is collected once, also one that Label Studio took as it went away; and no row differs from what it
    holds.
    """
    tasks = {(project_id, task["id"]): task for project_id in site.projects() for task in site.listed(project_id)}
    collected = site.rows(text("SELECT task_id, annotation_id FROM annotations WHERE annotation_id IS NOT NULL"))
    given = [(task["id"], annotation["id"]) for task in tasks.values() for annotation in task["annotations"]]
    assert sorted(map(tuple, collected)) == sorted(given)
    assert {task_id for task_id, _ in given} >= submitted
    assert max(Counter(task_id for task_id, _ in given).values()) == 1
    known = site.rows(
        text("SELECT q.project_id, t.task_id, t.utterance_id FROM queue_tasks t JOIN queues q ON q.id = t.queue_id"
             " WHERE t.task_id IS NOT NULL")
    )  # fmt: skip
    there = [(*place, task["data"]["utterance_id"]) for place, task in tasks.items()]
    assert sorted(map(tuple, known)) == sorted(there)
    assert max(Counter(utterance_id for _, _, utterance_id in there).values()) == 1


def placed(site: Site, sent: int) -> None:
    """The round keeps its budget, and each task has one prediction under the name that is served."""
    assert site.one("SELECT count(*) FROM utterances WHERE source = 'live'") == sent
    kept = site.rows(
        text("SELECT count(*) FROM selection_items i JOIN selections s ON s.id = i.selection_id"
             " WHERE s.superseded_at IS NULL AND i.dropped_by IS NULL")
    )  # fmt: skip
    assert kept == [(site.size.budget,)]
    for project_id, order_name in site.rows(text("SELECT project_id, order_name FROM queues WHERE kind = 'review'")):
        for task in site.listed(project_id):
            versions = [prediction["model_version"] for prediction in task["predictions"]]
            assert versions.count(order_name) == 1
            assert len(set(versions)) == len(versions)


def latencies(site: Site) -> tuple[list[float], list[float]]:
    """Seconds from arrival to task, of those that slipped in, and of those that a new round brought."""
    born = {
        (project_id, task["id"]): datetime.fromisoformat(task["created_at"])
        for project_id in site.projects()
        for task in site.listed(project_id)
    }
    found: tuple[list[float], list[float]] = ([], [])
    for _, ingested_at, by_extension, project_id, task_id in site.rows(PLACES):
        waited = (born[project_id, task_id] - ingested_at).total_seconds()
        found[0 if by_extension else 1].append(waited)
    return found


def reorder(site: Site) -> float:
    """Seconds for a new round, from its predictions to the last PATCH, with nobody else at work."""
    began = time.monotonic()
    site.assay("selection", "refresh", "--locale", LOCALE, "--seed", 7)
    return time.monotonic() - began


def quantiles(values: list[float]) -> str:
    middle, high, most = np.quantile(values, [0.5, 0.95, 1.0])
    return f"median {middle:.1f} s, p95 {high:.1f} s, at most {most:.1f} s"

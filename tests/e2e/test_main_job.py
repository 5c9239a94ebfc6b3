"""The main job on real parts: PostgreSQL, Redis, Label Studio, web, Celery workers and the `assay` command."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.payloads import DrawnTask
from plugin.label_studio.simulated_annotator import answer
from plugin.records import Hypothesis, Slot
from tests.e2e.assay import WORKERS, Assay, answers, wait_for
from tests.servers import LabelStudioServer, free_port

pytestmark = pytest.mark.label_studio

LOCALE = "en"
BUDGET = 24


def has_torch(process: subprocess.Popen[bytes]) -> bool:
    """Whether a live process, or a child of its, has torch's library in its memory."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return any("libtorch" in Path(f"/proc/{pid}/maps").read_text() for pid in [str(process.pid), *children])


@pytest.fixture
def engine(clean_database_url: str) -> Iterator[Engine]:
    engine = create_engine(clean_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def assay(
    tmp_path: Path, clean_database_url: str, redis_url: str, label_studio_server: LabelStudioServer
) -> Iterator[Assay]:
    port = free_port()
    web = f"http://127.0.0.1:{port}"
    assay = Assay(
        tmp_path,
        {
            "ASSAY_HOME": str(tmp_path / "home"),
            "ASSAY_DATABASE_URL": clean_database_url,
            "ASSAY_BROKER_URL": redis_url,
            "ASSAY_LABEL_STUDIO_URL": label_studio_server.url,
            "ASSAY_LABEL_STUDIO_TOKEN": label_studio_server.token,
            "ASSAY_LABEL_STUDIO_INSTANCE": tmp_path.name,
            "ASSAY_WEBHOOK_BASE_URL": web,
            "ASSAY_WEBHOOK_SECRET": "a secret of this test",
            "ASSAY_INGEST_TOKEN": "a token of this test",
            "ASSAY_REPLICATES": "2",
            "ASSAY_TRAINING_SEEDS": "1",
            "ASSAY_DEVICE": "cpu",
        },
    )
    with ExitStack() as stack:
        command = ("uvicorn", "plugin.web.app:create_app", "--factory", "--port", str(port))
        processes = {
            "web": stack.enter_context(assay.process("web", *command, is_ready=lambda: answers(f"{web}/health/live")))
        }
        for name in WORKERS:
            processes[name] = stack.enter_context(assay.worker(name))
        yield assay
        assert not has_torch(processes["web"])
        assert not has_torch(processes["worker"])
        assert has_torch(processes["worker-scoring"])


@pytest.fixture
def pool(tmp_path: Path, assay: Assay) -> Path:
    corpus, folder = tmp_path / "corpus.jsonl", tmp_path / "pool"
    assay("data", "demo-corpus", "--locale", LOCALE, "--size", 900, "--output", corpus)
    assay("data", "simulate-wsl", corpus, "--output", folder, "--trusted", 300, "--dev", 60, "--test", 150)
    return folder


def truth_of(pool: Path, engine: Engine) -> dict[int, Hypothesis]:
    """Our utterance id -> the true label."""
    with engine.connect() as connection:
        ids: dict[str, int] = dict(
            connection.execute(text("SELECT external_id, id FROM utterances WHERE source = 'log'")).all()
        )
    labels = {}
    for line in (pool / "truth.jsonl").read_text().splitlines():
        record = json.loads(line)
        label = record["label"]
        slots = tuple(Slot(*slot) for slot in label["slots"])
        labels[ids[record["id"]]] = Hypothesis(label["domain"], label["intent"], slots)
    return labels


def test_main_job(assay: Assay, pool: Path, engine: Engine, label_studio_server: LabelStudioServer) -> None:
    # Ingest: twice equals once.
    for name, partition in (("train", "train"), ("dev", "dev"), ("test", "held-out")):
        assay("ingest", "annotations", pool / f"gold-{name}.jsonl", "--partition", partition)
    assay("evaluation", "train", "--locale", LOCALE)
    first = assay.json("ingest", "utterances", pool / "pool.jsonl", "--source", "log")
    assert first["new"] == first["read"] > 200
    again = assay.json("ingest", "utterances", pool / "pool.jsonl", "--source", "log")
    assert (again["new"], again["unchanged"]) == (0, first["read"])

    # Score: in the worker's process.
    assay("scoring", "backfill", "--locale", LOCALE)
    status = assay.json("status")
    assert status["utterances"]["scored"] == status["utterances"]["ingested"] == first["read"]
    with engine.connect() as connection:
        replicates = connection.scalar(
            text("SELECT DISTINCT cardinality(el2n_replicates) FROM scores WHERE el2n IS NOT NULL")
        )
    assert replicates == 2

    # Select and publish.
    assay("policy", "set", "--locale", LOCALE, "--budget", BUDGET, "--nlu-band", 0.0, 1.0, "--blind-share", 0.0)
    round_ = assay.json("selection", "refresh", "--locale", LOCALE)
    assert round_["items"] == BUDGET
    assay("selection", "replay", round_["selection"])
    queues = assay.json("status")["queues"]
    assert sum(queue["published"] for queue in queues) == BUDGET

    # Four people draw in planned order, no one the same task.
    queue = max(queues, key=lambda queue: queue["published"])
    items = assay.json("selection", "show", round_["selection"], "--domain", queue["domain"])
    planned = [item["utterance_id"] for item in sorted(items, key=lambda item: item["rank"])]
    truth = truth_of(pool, engine)
    with ExitStack() as stack:
        tokens = [person.token for person in label_studio_server.annotators(4)]
        people = [stack.enter_context(closing(SdkLabelStudio(label_studio_server.url, token))) for token in tokens]
        drawn, verdicts = draw_and_review(people, queue["project_id"], truth)
    assert drawn == planned
    assert len(set(drawn)) == len(drawn)

    # Collect: by webhook alone at first, then by polling, which finds nothing more.
    wait_for("the reviews to come back", lambda: assay.json("status")["annotations"] == verdicts)
    assay("ingest", "reconcile")
    status = assay.json("status")
    assert status["annotations"] == verdicts
    assert next(row["annotated"] for row in status["queues"] if row["domain"] == queue["domain"]) == len(drawn)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT utterance_id, verdict, domain, intent, slots FROM annotations WHERE annotation_id IS NOT NULL")
        )
        for utterance_id, verdict, domain, intent, slots in rows:
            if verdict != "reject":
                label = truth[utterance_id]
                assert (domain, intent, slots) == (
                    label.domain,
                    label.intent,
                    [[s.start, s.end, s.label] for s in label.slots],
                )

    # Retrain in the evaluation worker; the numbers are in the database and in the project's description.
    run = assay.json("evaluation", "run", "--locale", LOCALE, "--test-set", "held-out", "--enqueue")
    wait_for("the run to end", lambda: assay.json("evaluation", "show", run["id"])["state"] in ("done", "failed"))
    report = assay.json("evaluation", "show", run["id"])
    assert report["state"] == "done", report
    with engine.connect() as connection:
        metrics: dict[str, float] = dict(
            connection.execute(
                text(
                    "SELECT metric, value FROM evaluation_metrics JOIN evaluations ON id = evaluation_id"
                    " WHERE run_id = :run AND arm = 'candidate' AND domain = '*'"
                ),
                {"run": run["id"]},
            ).all()
        )  # fmt: skip
    assert {"semer", "f_semer", "irer", "dcer"} <= set(metrics)
    candidate = report["arms"]["candidate"]["metrics"]
    own = [row["value"] for row in candidate if (row["domain"], row["metric"]) == (queue["domain"], "irer")]
    with closing(SdkLabelStudio(label_studio_server.url, label_studio_server.token)) as admin:
        wait_for("the description", lambda: "SEMER" in admin.get_project(queue["project_id"])["description"])
        assert f"IRER {(own or [metrics['irer']])[0]:.1%}" in admin.get_project(queue["project_id"])["description"]


def draw_and_review(
    people: list[SdkLabelStudio], project_id: int, truth: dict[int, Hypothesis]
) -> tuple[list[int], dict[str, int]]:
    """All draw, then all submit, until the queue is empty: what was served in order, and the verdicts."""
    drawn: list[int] = []
    verdicts: Counter[str] = Counter(accept=0, fix=0, reject=0)
    while True:
        held: list[tuple[SdkLabelStudio, DrawnTask]] = []
        for person in people:
            task = person.next_task(project_id)
            if task is not None:
                held.append((person, task))
        if not held:
            return drawn, dict(verdicts)
        for person, task in held:
            assert task.utterance_id is not None
            drawn.append(task.utterance_id)
            label = None if len(drawn) == 2 else truth[task.utterance_id]
            verdict, result = answer(task, label)
            verdicts[verdict.value] += 1
            person.submit_annotation(task.task_id, result, lead_time_s=1.0, parent_prediction=task.prediction_id)

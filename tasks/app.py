"""The Celery application: queues, routes, beat.

A Celery task is a shell: open a transaction, call one service function, send what follows. It is named
`word.verb`, routed by its word, takes ids or small ranges, and twice equals once. Work is kept in rows, so
messages may be lost: the sweeps, which beat sends every minute, find what was committed and never sent.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from celery import Celery, Task, signals
from sqlalchemy.exc import OperationalError

from plugin.label_studio.errors import LabelStudioError
from plugin.settings import get_settings
from plugin.wiring import required

WORDS = ("ingest", "scoring", "selection", "evaluation")

BEAT = {
    "ingest.sweep": 60.0,
    "scoring.sweep": 60.0,
    "selection.sweep": 60.0,
    "selection.tick": 10.0,
    "evaluation.tick": 60.0,
    "evaluation.watch": 60.0,
}


def consumed_words(argv: list[str]) -> tuple[str, ...]:
    """The words in `-Q`: a worker loads only their modules, so only the scoring and evaluation workers load torch."""
    for position, argument in enumerate(argv):
        if argument in ("-Q", "--queues") and position + 1 < len(argv):
            return tuple(word for word in argv[position + 1].split(",") if word in WORDS)
        if argument.startswith("--queues="):
            return tuple(word for word in argument.partition("=")[2].split(",") if word in WORDS)
    return () if "beat" in argv else WORDS


def route(name: str, *_: Any, **__: Any) -> dict[str, str]:
    return {"queue": name.partition(".")[0]}


settings = get_settings()
app = Celery(
    "assay",
    broker=settings.broker_url.get_secret_value() if settings.broker_url else None,
    include=[f"tasks.{word}" for word in consumed_words(sys.argv)],
)
app.conf.update(
    task_routes=(route,),
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_soft_time_limit=600,
    task_time_limit=660,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    # Redis hands a message out again after this time: a Celery task ends within it, or holds a lease.
    broker_transport_options={"visibility_timeout": 3600},
    beat_schedule={
        name: {"task": name, "schedule": every, "options": {"expires": every}} for name, every in BEAT.items()
    },
    # In memory: what is due is decided by rows, so beat has nothing to remember and two beats do no harm.
    beat_scheduler="celery.beat:Scheduler",
)


class PatientTask(Task):  # type: ignore[misc]  # Celery has no types
    """Celery asks this method to try again; what Label Studio refuses, it will refuse again."""

    def retry(self, *args: Any, exc: Exception | None = None, **kwargs: Any) -> Any:
        if isinstance(exc, LabelStudioError) and not exc.may_pass:
            raise exc
        return super().retry(*args, exc=exc, **kwargs)


# For Celery tasks that speak to Label Studio.
POLICY: dict[str, Any] = {
    "base": PatientTask,
    "autoretry_for": (OperationalError, LabelStudioError),
    "retry_backoff": 5,
    "retry_backoff_max": 300,
    "retry_jitter": True,
    "max_retries": 5,
}


@signals.worker_init.connect
@signals.beat_init.connect
def check_settings(**_: Any) -> None:
    required(settings, "broker_url")
    required(settings, "database_url")


@signals.setup_logging.connect
def log_plainly(**_: Any) -> None:
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")


@signals.worker_ready.connect
@signals.beat_init.connect
def touch_ready_file(**_: Any) -> None:
    """Tell whoever started this process that it takes work."""
    if settings.ready_file is not None:
        settings.ready_file.touch()

"""What runs in a worker process: worlds and their trials, one thread of torch each."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any

from plugin.experiment.grid import Trial
from plugin.experiment.laboratory import Laboratory
from plugin.experiment.trials import run_trial

# One thread each: several processes of several threads are slower than the same number of one.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Finished:
    result: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """`reason` is one line, `details` the traceback."""

    reason: str
    details: str


@dataclass(frozen=True)
class Gone:
    """A worker has nothing left to do."""


Report = Finished | Failed | Gone


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes started within get one thread; set before they load numpy and torch, which read it only then."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def work(laboratory: Laboratory, tasks: Queue[Sequence[Trial] | None], reports: Queue[Report], stop: Event) -> None:
    """The life of a worker: units of trials until there is none, or `stop` is set."""
    for sent_to_all in (signal.SIGINT, signal.SIGTERM):  # by a terminal, by `timeout`; the parent says when to stop
        signal.signal(sent_to_all, signal.SIG_IGN)
    try:
        while (unit := _next_unit(tasks, stop)) is not None:
            _run_unit(laboratory, unit, reports, stop)
    except Exception as error:  # noqa: BLE001  # the parent shows it
        reports.put(Failed(" ".join(str(error).split()) or type(error).__name__, traceback.format_exc()))
    reports.put(Gone())


def _next_unit(tasks: Queue[Sequence[Trial] | None], stop: Event) -> Sequence[Trial] | None:
    while _goes_on(stop):
        with suppress(queue.Empty):
            return tasks.get(timeout=_LOOK_SECONDS)
    return None


def _goes_on(stop: Event) -> bool:
    """A worker whose parent was killed has nobody to report to."""
    parent = multiprocessing.parent_process()
    return not stop.is_set() and (parent is None or parent.is_alive())


def _run_unit(laboratory: Laboratory, unit: Sequence[Trial], reports: Queue[Report], stop: Event) -> None:
    for trial in unit:
        if not _goes_on(stop):
            return
        reports.put(Finished(run_trial(laboratory, trial)))

"""Runs the trials of a grid that are not done yet, on as many processes as asked, and appends their results.

The parent alone writes. A worker takes the trials of one world at a time, so that the world is made once for them.
"""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from plugin.experiment import results
from plugin.experiment.grid import Trial, units
from plugin.experiment.laboratory import Laboratory
from plugin.experiment.workers import Failed, Finished, Gone, Report, one_thread, work

OnResult = Callable[[dict[str, Any]], None]

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 20.0


class RunError(RuntimeError):
    """A worker failed: why. What it had finished is kept."""


def left_to_do(trials: Sequence[Trial], folder: Path) -> list[Trial]:
    done = results.done(folder)
    return [trial for trial in trials if trial not in done]


def run(
    laboratory: Laboratory,
    trials: Sequence[Trial],
    folder: Path,
    *,
    workers: int,
    time_limit_seconds: float | None = None,
    on_result: OnResult = lambda _: None,
) -> int:
    """Run those trials; how many were done. What a time limit or Ctrl-C leaves is for the next run.

    At the time limit each worker finishes the trial that it has begun, the seed model of its world included. After
    Ctrl-C or an error it has 20 seconds for that, all workers together; then it is killed, and that trial is lost.

    Raises:
        RunError: a worker failed or was killed.
        OSError: a result cannot be written; those of trials that ended later are lost.
    """
    results.repair(folder)
    team = _Team(laboratory, trials, workers)
    deadline = None if time_limit_seconds is None else time.monotonic() + time_limit_seconds
    try:
        return team.collect(folder, deadline, on_result)
    finally:
        team.dismiss(folder)


class _Team:
    def __init__(self, laboratory: Laboratory, trials: Sequence[Trial], workers: int) -> None:
        # Fork would copy the threads' locks of a process that has loaded torch.
        context: SpawnContext = multiprocessing.get_context("spawn")
        work_units = units(trials)
        size = max(1, min(workers, len(work_units)))
        self._tasks: Queue[Sequence[Trial] | None] = context.Queue()
        self._reports: Queue[Report] = context.Queue()
        self._stop: Event = context.Event()
        for unit in [*work_units, *[None] * size]:
            self._tasks.put(unit)
        self._failure: OSError | None = None
        with one_thread():
            self._processes = [
                context.Process(target=work, args=(laboratory, self._tasks, self._reports, self._stop), daemon=True)
                for _ in range(size)
            ]
            for process in self._processes:
                process.start()

    def collect(self, folder: Path, deadline: float | None, on_result: OnResult) -> int:
        done = gone = 0
        while gone < len(self._processes):
            if deadline is not None and time.monotonic() >= deadline:
                self._stop.set()
            match self._next_report():
                case Finished(result):
                    self._keep(folder, result)
                    if self._failure:
                        raise self._failure
                    done += 1
                    on_result(result)
                case Failed(reason, details):
                    raise RunError(reason) from RuntimeError(details)
                case Gone():
                    gone += 1
                case None:
                    self._check()
        return done

    def _keep(self, folder: Path, result: dict[str, Any]) -> None:
        """Nothing more is written after a write that failed."""
        if self._failure is None:
            try:
                results.append(folder, result)
            except OSError as error:
                self._failure = error

    def _next_report(self, seconds: float = _LOOK_SECONDS) -> Report | None:
        try:
            return self._reports.get(timeout=seconds)
        except queue.Empty:
            return None

    def _check(self) -> None:
        """A process killed from outside, for want of memory say, reports nothing."""
        for process in self._processes:
            if process.exitcode not in (None, 0):
                raise RunError(
                    f"a worker ended with exit code {process.exitcode}: "
                    "if it was killed for want of memory, use fewer --workers"
                )

    def dismiss(self, folder: Path) -> None:
        """Let trainings that have begun come to their end, and keep what they gave; but not wait for ever."""
        self._stop.set()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        try:
            # A process does not end while its reports are unread.
            while any(process.is_alive() for process in self._processes) and time.monotonic() < deadline:
                match self._next_report():
                    case Finished(result):
                        self._keep(folder, result)
            self._drain(folder)
        finally:
            for process in self._processes:
                _end(process)
            for one in (self._tasks, self._reports):
                one.cancel_join_thread()
                one.close()
        if self._failure:
            raise self._failure

    def _drain(self, folder: Path) -> None:
        """What processes said before they ended; one that has not ended may be in the middle of a report."""
        while not any(process.is_alive() for process in self._processes):
            match self._next_report(0.0):
                case Finished(result):
                    self._keep(folder, result)
                case None:
                    return


def _end(process: SpawnProcess) -> None:
    if process.is_alive():
        process.kill()  # it does not heed SIGTERM
    process.join()
    process.close()

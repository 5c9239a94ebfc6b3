"""Starts the waves of a plan, starts again what dies, and stops everything at SIGTERM or SIGINT."""

from __future__ import annotations

import fcntl
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from plugin.stack.board import Board, Phase, State
from plugin.stack.files import Home
from plugin.stack.part import Part, StackError, Start
from plugin.stack.process import PartProcess, PidFile, bring_up

log = logging.getLogger(__name__)

SUPERVISOR = "supervisor"
POLL_SECONDS = 0.25
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
# A part that ran this long before it died starts again without a longer pause.
STEADY_SECONDS = 60.0


class AlreadyRunningError(Exception):
    """Another supervisor holds this home."""


class Keeper(threading.Thread):
    """Keeps one part running."""

    def __init__(self, part: Part, start: Start, board: Board, stopping: threading.Event) -> None:
        super().__init__(name=part.name, daemon=True)
        self.part = part
        self.settled = threading.Event()
        self.error: StackError | None = None
        self._start_with = start
        self._board = board
        self._stopping = stopping
        self._process: PartProcess | None = None

    def run(self) -> None:
        try:
            self._process = self._bring_up(State.STARTING)
        except Exception as error:  # noqa: BLE001 -- of a thread nobody would see it
            self.error = _explained(self.part.name, error)
            if self._stopping.is_set():
                self._board.set_part(self.part.name, State.STOPPED)
            else:
                self._board.set_part(self.part.name, State.FAILED, str(self.error).partition("\n")[0])
        finally:
            self.settled.set()
        if self._process is not None and not self.part.once:
            self._watch()

    def stop(self) -> None:
        self.join()
        if self._process is not None and not self.part.once:
            self._process.stop()
            self._board.set_part(self.part.name, State.STOPPED)

    def _bring_up(self, state: State) -> PartProcess:
        name = self.part.name
        self._board.set_part(name, state)

        def say(note: str) -> None:
            self._board.set_part(name, state, note)

        start = Start(
            self._start_with.logs,
            self._start_with.run,
            self._start_with.timeout_seconds,
            say,
            self._stopping.is_set,
        )
        began = time.monotonic()
        process = bring_up(self.part, start)
        note = f"{time.monotonic() - began:.1f} s"
        self._board.set_part(name, State.DONE if self.part.once else State.RUNNING, note)
        log.info("%s is up after %s", name, note)
        return process

    def _watch(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while not self._stopping.wait(POLL_SECONDS):
            assert self._process is not None
            code = self._process.exit_code()
            if code is None:
                continue
            self._process.stop()  # it is dead, its children may not be
            ran_seconds = time.monotonic() - self._process.started_at
            backoff = FIRST_BACKOFF_SECONDS if ran_seconds > STEADY_SECONDS else backoff
            backoff = self._restart(f"ended with exit code {code}", backoff)

    def _restart(self, why: str, backoff: float) -> float:
        """Try until it runs again; returns the pause before a next attempt."""
        while True:
            note = f"{why}; starts again in {backoff:.0f} s"
            log.warning("%s %s", self.part.name, note)
            self._board.set_part(self.part.name, State.RESTARTING, note)
            if self._stopping.wait(backoff):
                return backoff
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            try:
                self._process = self._bring_up(State.RESTARTING)
            except Exception as error:  # noqa: BLE001 -- of a thread nobody would see it
                why = str(_explained(self.part.name, error)).partition("\n")[0]
            else:
                return backoff


def _explained(name: str, error: Exception) -> StackError:
    if isinstance(error, StackError):
        return error
    log.error("%s", name, exc_info=error)
    return StackError(f"{name}: {type(error).__name__}: {error}")


class Supervisor:
    def __init__(self, home: Home, waves: list[list[Part]], board: Board, timeout_seconds: float) -> None:
        self._waves = waves
        self._board = board
        self._start = Start(home.logs, home.run, timeout_seconds)
        self._stopping = threading.Event()
        self._keepers: list[list[Keeper]] = []

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Returns when told to stop; raises StackError when a part does not start. Nothing is left running."""
        try:
            for wave in self._waves:
                if self._stopping.is_set():
                    break
                self._start_wave(wave)
            if not self._stopping.is_set():
                self._board.set_phase(Phase.RUNNING)
                log.info("all parts run")
            while not self._stopping.wait(POLL_SECONDS):
                pass
        finally:
            self._stop_all()

    def _start_wave(self, wave: list[Part]) -> None:
        keepers = [Keeper(part, self._start, self._board, self._stopping) for part in wave]
        self._keepers.append(keepers)
        for keeper in keepers:
            keeper.start()
        while not all(keeper.settled.is_set() for keeper in keepers):
            if self._stopping.wait(POLL_SECONDS) or any(keeper.error for keeper in keepers):
                break
        errors = [str(keeper.error) for keeper in keepers if keeper.error]
        if errors and not self._stopping.is_set():
            raise StackError("\n".join(errors))

    def _stop_all(self) -> None:
        self._stopping.set()
        for wave in reversed(self._keepers):
            stoppers = [threading.Thread(target=keeper.stop) for keeper in wave]
            for stopper in stoppers:
                stopper.start()
            for stopper in stoppers:
                stopper.join()


def supervise(home: Home, waves: list[list[Part]], board: Board, timeout_seconds: float) -> int:
    supervisor = Supervisor(home, waves, board, timeout_seconds)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, supervisor.stop)
    try:
        supervisor.run()
    except StackError as error:
        log.error("%s", error)  # noqa: TRY400 -- the message says what a person needs
        board.set_phase(Phase.FAILED, str(error))
        return 1
    board.set_phase(Phase.STOPPED)
    return 0


@contextmanager
def sole_supervisor(home: Home) -> Iterator[None]:
    """The system gives the lock back when we end, however we end."""
    home.run.mkdir(parents=True, exist_ok=True)
    with (home.run / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError from None
        yield


def stop_leftovers(run: Path) -> list[str]:
    """Stop parts whose supervisor died: the youngest first, so that the database outlives its clients."""
    files = [PidFile(path) for path in run.glob("*.pid") if path.stem != SUPERVISOR]
    youngest_first = sorted(files, key=lambda file: file.started, reverse=True)
    return [file.path.stem for file in youngest_first if file.stop()]


def configure_log() -> None:
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)

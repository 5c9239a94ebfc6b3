from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from plugin.stack import supervisor as module
from plugin.stack.board import Board, Phase, Snapshot, State, read_board
from plugin.stack.files import Home
from plugin.stack.part import Part, StackError, Start
from plugin.stack.process import PidFile
from plugin.stack.supervisor import AlreadyRunningError, Supervisor, sole_supervisor

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")
PATIENCE_SECONDS = 15.0


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(module, "FIRST_BACKOFF_SECONDS", 0.05)


class Stack:
    def __init__(self, folder: Path, waves: list[list[Part]]) -> None:
        self.home = Home(folder)
        self.home.run.mkdir(parents=True, exist_ok=True)
        self.board_path = self.home.run / "state.json"
        self.board = Board(self.board_path, 0)
        self.board.expect(part.name for wave in waves for part in wave)
        self.supervisor = Supervisor(self.home, waves, self.board, 10)

    def snapshot(self) -> Snapshot:
        snapshot = read_board(self.board_path)
        assert snapshot is not None
        return snapshot

    def state(self, name: str) -> State:
        return self.snapshot().parts[name].state

    def process(self, name: str) -> psutil.Process | None:
        return PidFile(self.home.run / f"{name}.pid").process()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@contextmanager
def running(stack: Stack) -> Iterator[None]:
    thread = threading.Thread(target=stack.supervisor.run)
    thread.start()
    try:
        eventually(lambda: stack.snapshot().phase is Phase.RUNNING)
        yield
    finally:
        stack.supervisor.stop()
        thread.join()


def noting(events: list[str], name: str) -> Callable[[Start], None]:
    return lambda _: events.append(name)


def test_waves_start_in_order_and_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    events: list[str] = []
    postgres = Part("postgres", SLEEP, prepare=noting(events, "postgres"), settle=noting(events, "settled"))
    migrations = Part("migrations", (sys.executable, "-c", ""), once=True)
    web = Part("web", SLEEP, prepare=noting(events, "web"))
    stack = Stack(tmp_path, [[postgres], [migrations], [web]])
    with running(stack):
        assert events == ["postgres", "settled", "web"]
        assert stack.state("migrations") is State.DONE
        processes = [stack.process("postgres"), stack.process("web")]
        assert all(processes)
    assert not any(process.is_running() for process in processes if process)
    assert stack.state("web") is State.STOPPED


def test_what_dies_is_started_again(tmp_path: Path) -> None:
    stack = Stack(tmp_path, [[Part("worker", SLEEP)]])
    with running(stack):
        for _ in range(2):
            first = stack.process("worker")
            assert first is not None
            first.kill()
            eventually(lambda: (now := stack.process("worker")) is not None and now.pid != first.pid)  # noqa: B023
            eventually(lambda: stack.state("worker") is State.RUNNING)


def test_children_of_what_died_are_gone_before_it_starts_again(tmp_path: Path) -> None:
    code = f"import subprocess; subprocess.run({list(SLEEP)!r})"
    stack = Stack(tmp_path, [[Part("worker", (sys.executable, "-c", code))]])
    with running(stack):
        parent = stack.process("worker")
        assert parent is not None
        eventually(lambda: len(parent.children()) == 1)
        (child,) = parent.children()
        parent.kill()
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_restart_that_fails_is_tried_again(tmp_path: Path) -> None:
    attempts: list[float] = []

    def prepare(_: Start) -> None:
        attempts.append(time.monotonic())
        if len(attempts) in (2, 3):
            raise OSError("disk full")

    stack = Stack(tmp_path, [[Part("worker", SLEEP, prepare=prepare)]])
    with running(stack):
        first = stack.process("worker")
        assert first is not None
        first.kill()
        eventually(lambda: len(attempts) == 4)
        eventually(lambda: stack.state("worker") is State.RUNNING)
    assert attempts[3] - attempts[2] > attempts[2] - attempts[1] > 0.05


@pytest.mark.parametrize("failure", [StackError("web ended"), OSError("no space left"), RuntimeError("surprise")])
def test_a_part_that_does_not_start_stops_the_others(tmp_path: Path, failure: Exception) -> None:
    def fail(_: Start) -> None:
        raise failure

    stack = Stack(tmp_path, [[Part("postgres", SLEEP)], [Part("web", SLEEP, settle=fail)]])
    with pytest.raises(StackError, match=str(failure)):
        stack.supervisor.run()
    assert stack.process("postgres") is None
    assert stack.process("web") is None
    assert stack.state("web") is State.FAILED


def test_a_start_is_called_off_at_once(tmp_path: Path) -> None:
    stack = Stack(tmp_path, [[Part("web", SLEEP, healthy=lambda: False)], [Part("never", SLEEP)]])
    threading.Timer(0.3, stack.supervisor.stop).start()
    began = time.monotonic()
    stack.supervisor.run()
    assert time.monotonic() - began < 8
    assert stack.process("web") is None
    assert stack.state("never") is State.WAITING


def test_one_home_has_one_supervisor(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with sole_supervisor(home), pytest.raises(AlreadyRunningError), sole_supervisor(home):
        pass
    with sole_supervisor(home):
        pass

"""What the command line and the pages need of the stack: start it, follow it, stop it, look at it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plugin.settings import Settings
from plugin.stack.board import Phase, Snapshot, State, read_board
from plugin.stack.files import Home
from plugin.stack.part import StackError
from plugin.stack.plan import ADMIN_EMAIL, Plan
from plugin.stack.process import PidFile, log_tail, stop_process
from plugin.stack.supervisor import SUPERVISOR, stop_leftovers

POLL_SECONDS = 0.2
# Every wave may need its whole patience to stop before the supervisor itself is killed.
STOP_SECONDS = 180.0

Show = Callable[[Snapshot], None]


@dataclass(frozen=True, slots=True)
class Doors:
    """What to open in a browser; no log-in is ours to tell when Label Studio was given by URL."""

    web: str
    label_studio: str
    email: str = ""
    password: str = ""


def up(settings: Settings, show: Show) -> bool:
    """Start whatever is missing and return when all is healthy; False when all of it ran before."""
    home = _home(settings)
    if _supervisor(home).process() is not None:
        _follow(home, show)
        return False
    for folder in (home.folder, home.logs, home.run):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    board_path(home).unlink(missing_ok=True)
    log = home.logs / f"{SUPERVISOR}.log"
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "plugin.stack"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "ASSAY_HOME": str(home.folder)},
            start_new_session=True,
        )
    while read_board(board_path(home)) is None:
        if supervisor.poll() == 0:
            break  # another `up` came first: follow that one
        if supervisor.poll() is not None:
            raise StackError(f"the supervisor ended with exit code {supervisor.returncode}{log_tail(log)}")
        time.sleep(POLL_SECONDS)
    _follow(home, show)
    return True


def stay(settings: Settings, show: Show) -> None:
    """Show what happens for as long as the stack runs."""
    home = _home(settings)
    shown: Snapshot | None = None
    while _supervisor(home).process() is not None:
        snapshot = read_board(board_path(home))
        if snapshot is not None and snapshot != shown:
            show(snapshot)
            shown = snapshot
        time.sleep(POLL_SECONDS)


def down(settings: Settings) -> list[str]:
    """Stop everything, also what a crashed supervisor left behind; returns the names of what was stopped."""
    home = _home(settings)
    snapshot = read_board(board_path(home))
    supervisor = _supervisor(home).process()
    if supervisor is None:
        return stop_leftovers(home.run)
    stop_process(supervisor, signal.SIGTERM, STOP_SECONDS, descendants=False)
    return [*(snapshot.parts if snapshot else ()), *stop_leftovers(home.run)]


def parts(settings: Settings) -> list[tuple[str, str]]:
    """(name, state) of each part of this home, for `assay status`; empty where no stack was ever started."""
    home = _home(settings)
    snapshot = read_board(board_path(home))
    if snapshot is None:
        return []
    if _supervisor(home).process() is not None:
        return [(name, part.state.value) for name, part in snapshot.parts.items()]
    left = {path.stem for path in home.run.glob("*.pid") if PidFile(path).process() is not None}
    return [(name, "orphaned" if name in left else State.STOPPED.value) for name in snapshot.parts]


def doors(settings: Settings) -> Doors:
    plan = Plan(settings)
    if settings.label_studio_url is not None:
        return Doors(plan.web_url, settings.label_studio_url)
    return Doors(plan.web_url, plan.label_studio_url, ADMIN_EMAIL, plan.label_studio.password)


def board_path(home: Home) -> Path:
    return home.run / "state.json"


def _follow(home: Home, show: Show) -> None:
    """Show every change until all is healthy."""
    shown: Snapshot | None = None
    while True:
        alive = _supervisor(home).process() is not None  # before reading: its last words are on the board
        snapshot = read_board(board_path(home))
        if snapshot is not None and snapshot != shown:
            show(snapshot)
            shown = snapshot
        if snapshot is not None and snapshot.phase is Phase.RUNNING and alive:
            return
        if not alive:
            error = snapshot.error if snapshot else ""
            raise StackError(error or f"the stack was stopped{log_tail(home.logs / f'{SUPERVISOR}.log')}")
        time.sleep(POLL_SECONDS)


def _home(settings: Settings) -> Home:
    return Home(settings.home.resolve())


def _supervisor(home: Home) -> PidFile:
    return PidFile(home.run / f"{SUPERVISOR}.pid")

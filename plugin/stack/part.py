"""What a part of the stack is: a process, how to prepare it, and how to know that it works."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Say = Callable[[str], None]
"""Takes one line of progress for the person who waits."""


class StackError(Exception):
    """A part of the stack cannot do its work; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Port:
    host: str
    number: int
    setting: str


def _quiet(_: str) -> None:
    return


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Start:
    """What whoever starts a part gives along: where logs and pid files go, who hears of progress, when to stop."""

    logs: Path
    run: Path
    timeout_seconds: float = 400.0
    say: Say = _quiet
    cancelled: Callable[[], bool] = _never


def _nothing(_: Start) -> None:
    return


def at_once() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Part:
    """One process.

    prepare   before every start: folders, configuration, a first database; may be slow, tells its progress
    healthy   polled after the start until true; must be quick and must not raise for "not yet"
    settle    once healthy, before parts that come later start
    once      a command that ends by itself with exit code 0, like the migrations
    """

    name: str
    command: tuple[str, ...]
    healthy: Callable[[], bool] = at_once
    prepare: Callable[[Start], None] = _nothing
    settle: Callable[[Start], None] = _nothing
    env: Mapping[str, str] = field(default_factory=dict)
    inherit_env: bool = True
    folder: Path | None = None
    user: str | None = None
    niceness: int = 0
    ready_file: Path | None = None
    port: Port | None = None
    once: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20.0

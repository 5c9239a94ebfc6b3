"""What the supervisor tells the world: the state of every part, in a file that anybody may read at any time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from plugin.stack.files import write_private


class Phase(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PartState:
    state: State
    note: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    pid: int
    phase: Phase
    error: str = ""
    parts: Mapping[str, PartState] = field(default_factory=dict)


class Board:
    """Written by the threads of one supervisor."""

    def __init__(self, path: Path, pid: int) -> None:
        self._path = path
        self._pid = pid
        self._phase = Phase.STARTING
        self._error = ""
        self._parts: dict[str, PartState] = {}
        self._lock = threading.Lock()
        self._write()

    def expect(self, names: Iterable[str]) -> None:
        with self._lock:
            self._parts = {name: PartState(State.WAITING) for name in names}
            self._write()

    def set_phase(self, phase: Phase, error: str = "") -> None:
        with self._lock:
            self._phase, self._error = phase, error or self._error
            self._write()

    def set_part(self, name: str, state: State, note: str = "") -> None:
        with self._lock:
            self._parts[name] = PartState(state, note)
            self._write()

    def _write(self) -> None:
        write_private(self._path, json.dumps(asdict(Snapshot(self._pid, self._phase, self._error, self._parts))))


def read_board(path: Path) -> Snapshot | None:
    try:
        raw = json.loads(path.read_text())
        parts = {name: PartState(State(part["state"]), part["note"]) for name, part in raw["parts"].items()}
        return Snapshot(raw["pid"], Phase(raw["phase"]), raw["error"], parts)
    except (OSError, ValueError, KeyError, TypeError):
        return None

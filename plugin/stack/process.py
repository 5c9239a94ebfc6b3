"""Start a part as a process of its own session, find it again by its pid file, and stop it for certain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from plugin.stack.files import write_private
from plugin.stack.part import Part, StackError, Start

LOG_TAIL_LINES = 8
LARGE_LOG_BYTES = 32 * 2**20
POLL_SECONDS = 0.1
# The environment that a foreign program needs; anything else could change what it does.
PLAIN_ENVIRONMENT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class PidFile:
    """A pid alone may belong to another program by now; pid and start time together cannot."""

    path: Path

    def write(self, pid: int, how: signal.Signals = signal.SIGTERM, patience_seconds: float = 20.0) -> None:
        started = psutil.Process(pid).create_time()
        record = {"pid": pid, "started": started, "stop": how.value, "patience_seconds": patience_seconds}
        write_private(self.path, json.dumps(record))

    def process(self) -> psutil.Process | None:
        record = self._read()
        try:
            process = psutil.Process(record["pid"])
            same = abs(process.create_time() - record["started"]) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (KeyError, TypeError, psutil.Error):
            return None

    @property
    def started(self) -> float:
        return float(self._read().get("started", 0.0))

    def stop(self) -> bool:
        """Stop what this file names, if it still runs, and say whether it did."""
        process, record = self.process(), self._read()
        if process is not None:
            stop_process(process, signal.Signals(record["stop"]), record["patience_seconds"])
        self.remove()
        return process is not None

    def _read(self) -> dict[str, Any]:
        try:
            record = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


@dataclass(slots=True)
class PartProcess:
    part: Part
    log: Path
    pid_file: PidFile
    popen: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0

    def start(self) -> None:
        for path in (self.log, self.pid_file.path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if self.part.ready_file is not None:
            self.part.ready_file.unlink(missing_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGE_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                _with_niceness(self.part),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.part.folder,
                env=_environment(self.part),
                user=self.part.user,
                group=_group(self.part.user),
                extra_groups=[] if self.part.user else None,
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        with suppress(psutil.NoSuchProcess):  # a command that is already over needs no pid file
            self.pid_file.write(self.popen.pid, self.part.stop_signal, self.part.stop_seconds)

    def exit_code(self) -> int | None:
        return None if self.popen is None else self.popen.poll()

    def wait_healthy(self, start: Start) -> None:
        deadline = time.monotonic() + start.timeout_seconds
        while time.monotonic() < deadline:
            if start.cancelled():
                raise StackError(f"{self.part.name} was stopped while it started")
            code = self.exit_code()
            if self.part.once and code == 0:
                self.pid_file.remove()
                return
            if code is not None:
                raise StackError(f"{self.part.name} ended with exit code {code}{self.log_tail()}")
            if self._looks_healthy() and not self.part.once:
                return
            time.sleep(POLL_SECONDS)
        raise StackError(f"{self.part.name} was not healthy after {start.timeout_seconds:.0f} s{self.log_tail()}")

    def _looks_healthy(self) -> bool:
        ready = self.part.ready_file
        if (ready is not None and not ready.exists()) or not self.part.healthy():
            return False
        port = self.part.port
        if port is not None and self.popen is not None and port.number not in _listening_ports(self.popen):
            raise StackError(
                f"port {port.number} answers, but not from our {self.part.name}: set {port.setting} to a free port"
            )
        return True

    def stop(self) -> None:
        if self.popen is not None:
            stop_process(psutil_of(self.popen), self.part.stop_signal, self.part.stop_seconds)
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(5)
            kill_orphans(self.popen.pid)
        self.pid_file.remove()

    def log_tail(self) -> str:
        return log_tail(self.log)


def kill_orphans(group: int) -> None:
    """Kill what is left of a process group whose leader died."""
    if not psutil.pid_exists(group):  # or the number already belongs to somebody else
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def bring_up(part: Part, start: Start) -> PartProcess:
    """Prepare and start a part and return when it is healthy; what was started is stopped if it never is."""
    process = PartProcess(part, start.logs / f"{part.name}.log", PidFile(start.run / f"{part.name}.pid"))
    part.prepare(start)
    try:
        process.start()
    except OSError as error:
        raise StackError(f"{part.name} cannot start: {part.command[0]}: {error.strerror}") from error
    try:
        process.wait_healthy(start)
        part.settle(start)
    except BaseException:
        process.stop()
        raise
    return process


def psutil_of(popen: subprocess.Popen[bytes]) -> psutil.Process | None:
    if popen.poll() is not None:
        return None
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(popen.pid)
    return None


def _listening_ports(popen: subprocess.Popen[bytes]) -> set[int]:
    process = psutil_of(popen)
    if process is None:
        return set()
    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        sockets = [item for member in family for item in member.net_connections("tcp")]
        return {item.laddr.port for item in sockets if item.status == psutil.CONN_LISTEN}
    return set()


def stop_process(
    process: psutil.Process | None, how: signal.Signals, patience_seconds: float, *, descendants: bool = True
) -> None:
    """Ask, wait, then kill; the descendants go with it."""
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        family = [*(process.children(recursive=True) if descendants else ()), process]
        process.send_signal(how)
        with suppress(psutil.TimeoutExpired):
            process.wait(patience_seconds)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=5)


def log_tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").rstrip().splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        lines = []
    quoted = "".join(f"\n    {line}" for line in lines)
    return f"\n  log: {log}{quoted}"


def _environment(part: Part) -> dict[str, str]:
    inherited = os.environ if part.inherit_env else {k: os.environ[k] for k in PLAIN_ENVIRONMENT if k in os.environ}
    ready = {"ASSAY_READY_FILE": str(part.ready_file)} if part.ready_file else {}
    return {**inherited, "PYTHONUNBUFFERED": "1", **part.env, **ready}


def _with_niceness(part: Part) -> list[str]:
    return ["nice", "-n", str(part.niceness), *part.command] if part.niceness else list(part.command)


def _group(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid

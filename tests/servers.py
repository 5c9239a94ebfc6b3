"""Real servers for tests, started by the very code of `assay up`, in a folder of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from plugin.settings import load_settings
from plugin.stack import accounts
from plugin.stack.broker import Redis
from plugin.stack.label_studio import LabelStudio, default_python
from plugin.stack.part import Part, StackError, Start
from plugin.stack.postgres import Postgres
from plugin.stack.process import PartProcess, PidFile, bring_up

Server = TypeVar("Server", Redis, LabelStudio)

CHECKOUT = Path(__file__).resolve().parents[1]
PORT_ATTEMPTS = 3
SETTLED_SECONDS = 60
# Data that lives as long as a test run need not survive a power cut.
FAST = ("max_connections=200", "fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    postgres: Postgres

    def url(self, database: str) -> str:
        return self.postgres.url(database)

    def create(self, database: str, template: str | None = None) -> str:
        self.postgres.create_database(database, template)
        return self.postgres.url(database)

    def drop(self, database: str) -> None:
        self.postgres.drop_database(database)


@dataclass(slots=True)
class LabelStudioServer:
    url: str
    email: str
    password: str
    token: str
    _signed_up: list[accounts.Account] = field(default_factory=list)

    def sign_up(self, email: str) -> accounts.Account:
        return accounts.sign_up(self.url, self.token, email, secrets.token_urlsafe(12))

    def annotators(self, count: int = 4) -> list[accounts.Account]:
        """The same people for every test that asks: annotator1@example.org, ..."""
        while len(self._signed_up) < count:
            self._signed_up.append(self.sign_up(f"annotator{len(self._signed_up) + 1}@example.org"))
        return self._signed_up[:count]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A short path (unix sockets), removed at the end; what killed test runs left behind is removed first."""
    for leftover in Path(tempfile.gettempdir()).glob("assay-test-*"):
        _remove_if_orphaned(leftover)
    folder = Path(tempfile.mkdtemp(prefix="assay-test-"))
    PidFile(folder / "owner.pid").write(os.getpid())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(part: Part, folder: Path) -> Iterator[PartProcess]:
    """A part of the stack as a real process."""
    process = bring_up(part, Start(folder / "logs", folder / "run"))
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    postgres = Postgres(folder, FAST)
    with running(postgres.part(), folder):
        yield PostgresServer(postgres)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    def make(port: int) -> Redis:
        return Redis(folder / "redis", port, secrets.token_urlsafe(12))

    with _on_free_port(make, folder) as redis:
        yield redis.url


@contextmanager
def label_studio_server(folder: Path, postgres: PostgresServer) -> Iterator[LabelStudioServer]:
    with _on_free_port(lambda port: _label_studio(folder, postgres, port), folder) as server:
        token = accounts.mint_token(server.url, server.email, server.password)
        yield LabelStudioServer(server.url, server.email, server.password, token)


@dataclass(slots=True)
class RestartableLabelStudio:
    """A Label Studio of a test's own, on a database of its own: it may be stopped and started again."""

    part: Part
    start: Start
    process: PartProcess
    server: LabelStudioServer

    def restart(self) -> None:
        self.process.stop()
        self.process = bring_up(self.part, self.start)


@contextmanager
def restartable_label_studio(folder: Path, postgres: PostgresServer, database: str) -> Iterator[RestartableLabelStudio]:
    """In a folder of its own."""
    label_studio = replace(_label_studio(folder, postgres, free_port()), database=database)
    start = Start(folder / "logs", folder / "run")
    part = label_studio.part()
    ours = RestartableLabelStudio(part, start, bring_up(part, start), LabelStudioServer(label_studio.url, "", "", ""))
    try:
        token = accounts.mint_token(label_studio.url, label_studio.email, label_studio.password)
        ours.server = LabelStudioServer(label_studio.url, label_studio.email, label_studio.password, token)
        yield ours
    finally:
        ours.process.stop()


def label_studio_template(folder: Path, postgres: PostgresServer) -> Path:
    """The dump of a migrated Label Studio database, from the cache once somebody made it."""
    return _label_studio(folder, postgres, free_port()).ensure_template(Start(folder / "logs", folder / "run"))


def _label_studio(folder: Path, postgres: PostgresServer, port: int) -> LabelStudio:
    return LabelStudio(
        python=label_studio_python(),
        folder=folder / "label-studio",
        templates=cache_folder(),
        postgres=postgres.postgres,
        port=port,
        email="admin@example.org",
        password=secrets.token_urlsafe(12),
    )


def label_studio_python() -> Path:
    return (load_settings(with_stack_file=False).label_studio_python or default_python()).absolute()


def cache_folder() -> Path:
    """Kept between runs: the migrated Label Studio database, minutes of work."""
    return Path(os.environ.get("ASSAY_TEST_CACHE", CHECKOUT / ".cache" / "assay-tests"))


@contextmanager
def _on_free_port(make: Callable[[int], Server], folder: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        for attempt in range(PORT_ATTEMPTS):
            server = make(free_port())
            try:
                stack.enter_context(running(server.part(), folder))
                break
            except StackError as error:  # somebody may have taken the port in between
                if attempt == PORT_ATTEMPTS - 1 or "port" not in str(error).lower():
                    raise
        yield server


def _remove_if_orphaned(folder: Path) -> None:
    owner = folder / "owner.pid"
    try:
        # Another test run may be making its folder at this very moment.
        if not owner.exists() or time.time() - owner.stat().st_mtime < SETTLED_SECONDS:
            return
        if PidFile(owner).process() is not None:
            return
    except (PermissionError, FileNotFoundError):  # another user's, or gone meanwhile
        return
    for path in (folder / "run").glob("*.pid"):
        PidFile(path).stop()
    shutil.rmtree(folder, ignore_errors=True)


__all__ = [
    "LabelStudioServer",
    "PostgresServer",
    "free_port",
    "label_studio_server",
    "postgres_server",
    "redis_server",
    "running",
    "scratch_folder",
]

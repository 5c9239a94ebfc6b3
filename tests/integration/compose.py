"""Runs the services of docker-compose.yml as processes: their very commands, environments and health checks.

What Docker would do is done by substitution: programs are found on a PATH per image, host names become the
loopback address, ports free ones, and paths of volumes folders of the test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import yaml

from plugin.stack import broker, postgres
from plugin.stack.part import Part, Port, StackError
from plugin.stack.postgres import Postgres
from tests.servers import (
    CHECKOUT,
    FAST,
    PostgresServer,
    free_port,
    label_studio_python,
    label_studio_template,
    running,
)

COMPOSE_FILE = CHECKOUT / "docker-compose.yml"
DOTENV = {
    "POSTGRES_PASSWORD": "postgres-password",
    "LABEL_STUDIO_PASSWORD": "label-studio-password",
    "LABEL_STUDIO_SECRET_KEY": "label-studio-secret-key",
    "ASSAY_WEBHOOK_SECRET": "webhook-secret",
    "ASSAY_INGEST_TOKEN": "ingest-token",
}
PORTS = ("5432", "6379", "8040", "8080")
LISTENS = {"redis": "6379", "label-studio": "8080", "web": "8040"}
HEALTH_SECONDS = 20.0


def load_compose() -> dict[str, Any]:
    document = yaml.safe_load(COMPOSE_FILE.read_text())
    assert isinstance(document, dict)
    return document


def interpolate(text: str, variables: dict[str, str]) -> str:
    """`$$`, `${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as Compose has them."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, operator, rest = match["name"], match["operator"], match["rest"]
        if name in variables:
            return variables[name]
        if operator == ":-":
            return rest
        raise KeyError(f"{name} {rest or 'is not set'}")

    return re.sub(r"\$\$|\$\{(?P<name>\w+)(?:(?P<operator>:[-?])(?P<rest>[^}]*))?\}", value, text)


@dataclass
class ComposeRun:
    """Starts a service after those it depends on, under the conditions that the file names."""

    folder: Path
    label_studio: PostgresServer
    document: dict[str, Any] = field(default_factory=load_compose)
    started: dict[str, Part] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    ports: dict[str, str] = field(default_factory=lambda: {port: str(free_port()) for port in PORTS})

    @property
    def services(self) -> dict[str, Any]:
        services = self.document["services"]
        assert isinstance(services, dict)
        return services

    def close(self) -> None:
        self.stack.close()

    def start(self, name: str) -> Part:
        if name in self.started:
            return self.started[name]
        for needed, how in self.services[name].get("depends_on", {}).items():
            once = self.start(needed).once
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")
        part = self.part(name)
        if name == "label-studio":
            self._restore_label_studio()
        self._ready_file(name).unlink(missing_ok=True)  # `tmpfs: /tmp` is empty at every start
        self.stack.enter_context(running(part, self.folder))
        if name == "postgres":
            self._initialise_as_the_image_does()
        self.started[name] = part
        return part

    def part(self, name: str) -> Part:
        service = self.services[name]
        once = service["restart"] == "no"
        env = {key: self._here(str(value), name) for key, value in service.get("environment", {}).items()}
        env["PATH"] = os.pathsep.join([str(self._programs(name)), "/usr/local/bin", "/usr/bin", "/bin"])
        part = Part(
            name=name,
            command=tuple(self._here(word, name) for word in service["command"]),
            env=env,
            inherit_env=False,
            once=once,
            healthy=lambda: once or self.is_healthy(name),
            port=Port("127.0.0.1", int(self.ports[LISTENS[name]]), "") if name in LISTENS else None,
            folder=self.folder,
        )
        for secret in service.get("secrets", ()):
            variable = self.document["secrets"][secret]["environment"]
            (self.folder / "secrets").mkdir(exist_ok=True)
            (self.folder / "secrets" / secret).write_text(DOTENV[variable])
        return self._on_embedded_postgres(part) if name == "postgres" else part

    def is_healthy(self, name: str) -> bool:
        kind, *words = self.services[name]["healthcheck"]["test"]
        words = [self._here(word, name) for word in words]
        command = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
        path = os.pathsep.join([str(self._programs(name)), "/usr/bin", "/bin"])
        done = subprocess.run(
            command, env={"PATH": path}, capture_output=True, check=False, timeout=HEALTH_SECONDS, cwd=self.folder
        )
        return done.returncode == 0

    def database(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(host="127.0.0.1", port=self.ports["5432"], user="postgres", dbname=name, autocommit=True)

    def _here(self, text: str, service: str) -> str:
        text = interpolate(text, DOTENV)
        if text == "0.0.0.0":  # noqa: S104 -- replaced, not used
            return "127.0.0.1"
        text = re.sub(r"[a-z-]+\.assay\.internal", "127.0.0.1", text)
        text = text.replace("/var/lib/assay", str(self.folder / "assay"))
        text = text.replace("/label-studio/data", str(self.folder / "label-studio"))
        text = text.replace("/run/secrets", str(self.folder / "secrets"))
        text = text.replace("/tmp/ready", str(self._ready_file(service)))  # noqa: S108 -- the container's
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda match: self.ports[match[0]], text)

    def _ready_file(self, service: str) -> Path:
        return self.folder / f"{service}.ready"

    def _programs(self, name: str) -> Path:
        """Where the programs of a service's image are on this machine."""
        return {
            "postgres": postgres.binary("postgres").parent,
            "redis": broker.binary().parent,
            "label-studio": label_studio_python().parent,
        }.get(name, Path(sys.executable).parent)

    def _on_embedded_postgres(self, part: Part) -> Part:
        cluster = Postgres(self.folder / "postgres-service", FAST).part()
        here = ("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.ports['5432']}")
        return replace(
            part,
            command=(*part.command, *cluster.command[1:], *here),
            prepare=cluster.prepare,
            user=cluster.user,
            folder=cluster.folder,
            stop_signal=cluster.stop_signal,
        )

    def _initialise_as_the_image_does(self) -> None:
        given = self.services["postgres"]["environment"]
        with self.database("postgres") as connection:
            connection.execute(f"CREATE ROLE {given['POSTGRES_USER']} SUPERUSER LOGIN")
            connection.execute(f"CREATE DATABASE {given['POSTGRES_DB']} OWNER {given['POSTGRES_USER']}")
            for config in self.services["postgres"]["configs"]:
                connection.execute(self.document["configs"][config["source"]]["content"])

    def _restore_label_studio(self) -> None:
        """A migrated database, to spare the minutes of a first start; the command itself is the file's."""
        dump = label_studio_template(self.folder, self.label_studio)
        address = ["--host=127.0.0.1", f"--port={self.ports['5432']}", "--username=assay", "--dbname=label_studio"]
        command = [str(postgres.binary("pg_restore")), "--exit-on-error", "--no-owner", *address, str(dump)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(done.stderr)

"""The list of parts: everything that `assay up` runs, in the order in which it starts."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass, replace
from functools import cached_property

import httpx
from pydantic import SecretStr

from plugin.settings import STACK_FILE, Settings
from plugin.stack import accounts
from plugin.stack.broker import Redis
from plugin.stack.files import Home
from plugin.stack.label_studio import LabelStudio, default_python
from plugin.stack.part import Part, Port, StackError, Start, at_once
from plugin.stack.postgres import Postgres

ADMIN_EMAIL = "admin@assay.local"
DATABASE = "assay"
HEALTH_SECONDS = 5.0
EVERY_INTERFACE = ("0.0.0.0", "::", "")  # noqa: S104


@dataclass(frozen=True)
class Plan:
    """What to run, from the settings that the *environment* gives: what it gives by URL is not started."""

    settings: Settings

    def waves(self) -> list[list[Part]]:
        """Parts of a wave start together, and the next wave when all of them are healthy."""
        return [
            [part for part in (self._postgres(), self._redis()) if part],
            [part for part in (self._label_studio(), self._migrations()) if part],
            [
                self._web(),
                self._worker("worker", "ingest,selection", concurrency=2),
                self._worker("worker-scoring", "scoring", concurrency=1),
                # A retraining must never slow down live scoring.
                self._worker("worker-evaluation", "evaluation", concurrency=1, niceness=10),
                self._beat(),
            ],
        ]

    def _postgres(self) -> Part | None:
        needed = self.settings.database_url is None or self.settings.label_studio_url is None
        return replace(self.postgres.part(), settle=self._create_database) if needed else None

    def _redis(self) -> Part | None:
        return self.redis.part() if self.settings.broker_url is None else None

    def _label_studio(self) -> Part | None:
        if self.settings.label_studio_url is not None:
            return None
        return replace(self.label_studio.part(), settle=self._keep_token)

    def _migrations(self) -> Part:
        return self._ours("migrations", sys.executable, "-m", "plugin.cli", "db", "upgrade", once=True)

    def _web(self) -> Part:
        host, port = self.settings.web_host, self.settings.web_port
        return self._ours(
            "web",
            *(sys.executable, "-m", "uvicorn", "plugin.web.app:create_app", "--factory", "--no-access-log"),
            *("--host", host, "--port", str(port)),
            port=Port(host, port, "ASSAY_WEB_PORT"),
        )

    def _worker(self, name: str, queues: str, *, concurrency: int, niceness: int = 0) -> Part:
        return self._ours(
            name,
            *(sys.executable, "-m", "celery", "-A", "tasks", "worker"),
            *("-Q", queues, "-c", str(concurrency), "-n", f"{name}@%h", "--without-mingle", "--without-gossip"),
            niceness=niceness,
            tells_when_ready=True,
        )

    def _beat(self) -> Part:
        return self._ours("beat", sys.executable, "-m", "celery", "-A", "tasks", "beat", tells_when_ready=True)

    def _ours(
        self,
        name: str,
        *command: str,
        port: Port | None = None,
        once: bool = False,
        niceness: int = 0,
        tells_when_ready: bool = False,
    ) -> Part:
        """Our own processes read their settings, secrets too, from ASSAY_HOME."""
        return Part(
            name=name,
            command=command,
            env={"ASSAY_HOME": str(self.home.folder)},
            folder=self.home.run,  # holds no Python package that could shadow ours
            port=port,
            once=once,
            niceness=niceness,
            ready_file=self.home.run / f"{name}.ready" if tells_when_ready else None,
            healthy=self._web_is_up if port else at_once,
        )

    @cached_property
    def home(self) -> Home:
        return Home(self.settings.home.resolve())

    @cached_property
    def postgres(self) -> Postgres:
        return Postgres(self.home.folder)

    @cached_property
    def redis(self) -> Redis:
        return Redis(self.home.redis, self.settings.redis_port, self.home.secret("redis_password"))

    @cached_property
    def label_studio(self) -> LabelStudio:
        return LabelStudio(
            python=(self.settings.label_studio_python or default_python()).absolute(),
            folder=self.home.label_studio,
            templates=self.home.templates,
            postgres=self.postgres,
            port=self.settings.label_studio_port,
            email=ADMIN_EMAIL,
            password=self.home.secret("label_studio_password"),
            webhook_address=socket.gethostbyname(self._reachable_web_host),
        )

    @property
    def web_url(self) -> str:
        return f"http://{self._reachable_web_host}:{self.settings.web_port}"

    @property
    def label_studio_url(self) -> str:
        return self.settings.label_studio_url or self.label_studio.url

    @property
    def _reachable_web_host(self) -> str:
        return "127.0.0.1" if self.settings.web_host in EVERY_INTERFACE else self.settings.web_host

    def write_stack_file(self) -> None:
        """What every other `assay` command and every part of ours reads."""
        self.home.write_stack_file(self._stack_values())

    def _stack_values(self) -> dict[str, str]:
        settings, kept = self.settings, self.home.kept_secrets()
        values = {
            "DATABASE_URL": _plain(settings.database_url) or self.postgres.url(DATABASE),
            "BROKER_URL": _plain(settings.broker_url) or self.redis.url,
            "LABEL_STUDIO_URL": self.label_studio_url,
            "LABEL_STUDIO_TOKEN": _plain(settings.label_studio_token) or kept.get("label_studio_token"),
            "INGEST_TOKEN": _plain(settings.ingest_token) or self.home.secret("ingest_token"),
            "WEBHOOK_SECRET": _plain(settings.webhook_secret) or self.home.secret("webhook_secret"),
            "WEBHOOK_BASE_URL": settings.webhook_base_url or self.web_url,
        }
        return {name: value for name, value in values.items() if value}

    def _create_database(self, _: Start) -> None:
        if self.settings.database_url is None and DATABASE not in self.postgres.databases():
            self.postgres.create_database(DATABASE)

    def _keep_token(self, start: Start) -> None:
        studio, kept = self.label_studio, self.home.kept_secrets().get("label_studio_token")
        if kept is None or not accounts.token_works(studio.url, kept):
            start.say("making an access token")
            self.home.keep_secret("label_studio_token", accounts.mint_token(studio.url, studio.email, studio.password))
        self.write_stack_file()

    def _web_is_up(self) -> bool:
        try:
            return httpx.get(f"{self.web_url}/health/live", timeout=HEALTH_SECONDS, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def problems(self) -> list[str]:
        """Whatever can be known to be wrong before anything starts."""
        found = []
        if self.settings.label_studio_url and not self.settings.label_studio_token:
            found.append("ASSAY_LABEL_STUDIO_URL is given without ASSAY_LABEL_STUDIO_TOKEN")
        try:
            parts = [part for wave in self.waves() for part in wave]
            if self.settings.label_studio_url is None:
                self.label_studio.version()
        except StackError as error:
            return [*found, str(error)]
        except OSError as error:
            return [*found, f"ASSAY_WEB_HOST={self.settings.web_host}: {error.strerror}"]
        for name, value in self._stack_values().items():
            if "${" in value:  # the reader of the file would put a variable's value there
                found.append(f"ASSAY_{name} contains '${{', which {STACK_FILE} cannot hold: choose another value")
        ports = [(part.name, part.port) for part in parts if part.port]
        seen: dict[int, str] = {}
        for name, port in ports:
            if port.number in seen:
                found.append(f"{name} and {seen[port.number]} both want port {port.number}: change {port.setting}")
            elif is_taken(port):
                found.append(f"port {port.number} is taken, {name} needs it: set {port.setting} to a free port")
            seen[port.number] = name
        return found


def is_taken(port: Port) -> bool:
    family, kind, protocol, _, address = socket.getaddrinfo(port.host, port.number, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return True
    return False


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()

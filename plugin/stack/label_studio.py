"""Label Studio from its own virtual environment, its database in our PostgreSQL.

Its first start migrates an empty database, which takes minutes. That is done once, into a dump; every
database after that is restored from the dump in seconds. The dump holds no account and no key.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from plugin.stack import ssrf
from plugin.stack.files import locked
from plugin.stack.part import Part, Port, StackError, Start
from plugin.stack.postgres import SUPERUSER, Postgres
from plugin.stack.process import bring_up

HOST = "127.0.0.1"
HEALTH_SECONDS = 5.0
VERSION_SECONDS = 60


@dataclass(frozen=True, slots=True)
class LabelStudio:
    python: Path
    folder: Path
    templates: Path
    postgres: Postgres
    port: int
    email: str
    password: str
    database: str = "label_studio"
    webhook_address: str = HOST

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def part(self) -> Part:
        return Part(
            name="label-studio",
            command=(
                *(str(self.python), "-m", "label_studio.server", "start", "--no-browser"),
                *("--internal-host", HOST, "--port", str(self.port)),
            ),
            prepare=self.prepare,
            healthy=self.is_up,
            env=self.environment(self.database)
            | {"LABEL_STUDIO_USERNAME": self.email, "LABEL_STUDIO_PASSWORD": self.password},
            inherit_env=False,
            folder=self.folder,
            port=Port(HOST, self.port, "ASSAY_LABEL_STUDIO_PORT"),
        )

    def environment(self, database: str) -> dict[str, str]:
        return {
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder),
            "DJANGO_DB": "default",
            "POSTGRE_HOST": str(self.postgres.sockets),
            "POSTGRE_PORT": "5432",
            "POSTGRE_USER": SUPERUSER,
            "POSTGRE_PASSWORD": "",
            "POSTGRE_NAME": database,
            "LABEL_STUDIO_HOST": "",
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "TASK_LOCK_TTL": "3600",
            # Nothing leaves the machine.
            "COLLECT_ANALYTICS": "False",
            "LATEST_VERSION_CHECK": "False",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            **ssrf.environment(self.webhook_address),
        }

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=HEALTH_SECONDS, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def prepare(self, start: Start) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.database in self.postgres.databases():
            return
        template = self.ensure_template(start)
        # Under another name until complete: a half restored database must not be taken for ours.
        scratch = f"{self.database}_new"
        self.postgres.drop_database(scratch)
        self.postgres.create_database(scratch)
        self.postgres.restore(template, scratch)
        self.postgres.rename_database(scratch, self.database)

    def ensure_template(self, start: Start) -> Path:
        """The dump of a migrated database, made if need be."""
        template = self.templates / f"label-studio-{self.version()}.dump"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(template.with_suffix(".lock")):
            if not template.exists():
                self._make_template(template, start)
        return template

    def version(self) -> str:
        """The installed version; also the check that there is a Label Studio at all."""
        code = "import importlib.metadata as m; print(m.version('label-studio'))"
        try:
            done = subprocess.run(
                [str(self.python), "-c", code],
                capture_output=True,
                text=True,
                check=True,
                timeout=VERSION_SECONDS,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise StackError(
                f"no label-studio in {self.python}: run `make setup`, or set ASSAY_LABEL_STUDIO_PYTHON "
                "to the python of an environment that has it, "
                "or set ASSAY_LABEL_STUDIO_URL and ASSAY_LABEL_STUDIO_TOKEN"
            ) from error
        return done.stdout.strip()

    def _make_template(self, template: Path, start: Start) -> None:
        database = f"{self.database}_template"
        self.postgres.drop_database(database)
        self.postgres.create_database(database)
        counted = -1

        def tell() -> bool:
            nonlocal counted
            done = self.postgres.count(database, "django_migrations")
            if done != counted:
                counted = done
                start.say(f"first start: preparing its database, {done} migrations done (takes minutes, once)")
            return False

        migrate = Part(
            name="label-studio-template",
            command=(str(self.python), "-m", "label_studio.server", "version"),  # any command migrates first
            env=self.environment(database),
            inherit_env=False,
            folder=self.folder,
            once=True,
            healthy=tell,
        )
        bring_up(migrate, start)
        scratch = template.with_suffix(".part")
        self.postgres.dump(database, scratch)
        scratch.replace(template)
        self.postgres.drop_database(database)


def default_python() -> Path:
    """`.venv-label-studio` beside the checkout that Assay runs from, or in the current folder."""
    beside = Path(sys.prefix).parent / ".venv-label-studio"
    checkout = Path(__file__).resolve().parents[2] / ".venv-label-studio"
    here = Path.cwd() / ".venv-label-studio"
    found = next((folder for folder in (here, checkout, beside) if folder.exists()), here)
    return found / "bin" / "python"

"""`assay up` and `assay down` as a user types them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from plugin.settings import Settings, load_settings
from plugin.stack import accounts, control
from plugin.stack.process import PidFile
from tests import servers

pytestmark = pytest.mark.label_studio

PARTS = {
    *("postgres", "redis", "label-studio", "migrations"),
    *("web", "worker", "worker-scoring", "worker-evaluation", "beat"),
}
COMMAND_SECONDS = 300


@dataclass(frozen=True)
class Machine:
    """One ASSAY_HOME and the ports that it uses."""

    home: Path
    variables: dict[str, str]

    def assay(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name("assay")), *arguments],
            env={**os.environ, **self.variables, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def up(self) -> str:
        done = self.assay("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def settings(self, *, with_stack_file: bool = True) -> Settings:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            return load_settings(with_stack_file=with_stack_file)

    def states(self) -> dict[str, str]:
        return dict(control.parts(self.settings()))

    def process(self, name: str) -> psutil.Process | None:
        return PidFile(self.home / "run" / f"{name}.pid").process()

    def processes(self) -> list[psutil.Process]:
        found = [self.process(name) for name in [*PARTS, "supervisor"]]
        return [process for process in found if process is not None]

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        url = self.settings().database_url
        assert url is not None
        return psycopg.connect(url.get_secret_value().replace("+psycopg", ""), autocommit=True)


@pytest.fixture(scope="module")
def machine(postgres_server: servers.PostgresServer) -> Iterator[Machine]:
    with servers.scratch_folder() as folder:
        home = folder / "home"
        (home / "templates").mkdir(parents=True)
        shutil.copy(servers.label_studio_template(folder, postgres_server), home / "templates")
        ports = {name: str(servers.free_port()) for name in ("WEB_PORT", "LABEL_STUDIO_PORT", "REDIS_PORT")}
        variables = {f"ASSAY_{name}": port for name, port in ports.items()}
        variables |= {"ASSAY_HOME": str(home), "ASSAY_LABEL_STUDIO_PYTHON": str(servers.label_studio_python())}
        machine = Machine(home, variables)
        try:
            yield machine
        finally:
            machine.assay("down")


@pytest.fixture(scope="module")
def output(machine: Machine) -> str:
    return machine.up()


def eventually(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def test_a_taken_port_is_found_before_anything_starts(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = machine.assay("up", "--detach", ASSAY_WEB_PORT=str(port))
    assert done.returncode == 1
    assert f"port {port} is taken, web needs it: set ASSAY_WEB_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert machine.processes() == []


def test_up_returns_when_all_is_healthy_and_says_what_to_open(machine: Machine, output: str) -> None:
    settings = machine.settings()
    assert settings.webhook_base_url is not None
    assert httpx.get(f"{settings.webhook_base_url}/health/live").is_success
    assert machine.states() == {name: "done" if name == "migrations" else "running" for name in PARTS}
    for address in (settings.webhook_base_url, settings.label_studio_url):
        assert str(address) in output
    log_in = re.search(r"log in as +(\S+) +(\S+)", output)
    assert log_in is not None
    assert settings.label_studio_url is not None
    assert settings.label_studio_token is not None
    assert accounts.token_works(settings.label_studio_url, settings.label_studio_token.get_secret_value())
    with httpx.Client(base_url=settings.label_studio_url) as browser:
        browser.get("/user/login/")
        form = {"email": log_in[1], "password": log_in[2], "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert browser.post("/user/login/", data=form).status_code == 302


def test_a_second_up_says_that_it_runs(machine: Machine, output: str) -> None:
    before = machine.processes()
    done = machine.assay("up")
    assert done.returncode == 0
    assert "already running" in done.stdout
    assert machine.processes() == before


def test_secrets_are_private(machine: Machine, output: str) -> None:
    files = [machine.home / "secrets.json", machine.home / "stack.env", machine.home / "redis" / "redis.conf"]
    assert [file.stat().st_mode & 0o077 for file in files] == [0, 0, 0]
    kept = re.findall(r'": "(\S+)"', (machine.home / "secrets.json").read_text())
    assert len(kept) >= 4
    arguments = [" ".join(process.cmdline()) for process in machine.processes()]
    logs = [path.read_text(errors="replace") for path in (machine.home / "logs").iterdir()]
    assert not [secret for secret in kept for text in [*arguments, *logs] if secret in text]


def test_the_evaluation_worker_has_low_priority(machine: Machine, output: str) -> None:
    scoring, evaluation = machine.process("worker-scoring"), machine.process("worker-evaluation")
    assert scoring is not None
    assert evaluation is not None
    assert evaluation.nice() > scoring.nice()


def test_the_doctor_finds_nothing_wrong_with_a_fresh_stack(machine: Machine, output: str) -> None:
    """Also that a webhook, sent by its Label Studio, reaches its web and its database."""
    done = machine.assay("label-studio", "doctor", "--json")
    found = json.loads(done.stdout)
    assert found["findings"] == []
    assert found["left_out"] == []
    assert done.returncode == 0


def test_a_worker_that_dies_is_started_again(machine: Machine, output: str) -> None:
    first = machine.process("worker")
    assert first is not None
    first.kill()
    eventually(lambda: (now := machine.process("worker")) is not None and now.pid != first.pid)
    eventually(lambda: machine.states()["worker"] == "running")
    assert "worker ended with exit code -9" in (machine.home / "logs" / "supervisor.log").read_text()


def test_a_crash_of_everything_loses_no_data_and_down_leaves_nothing(machine: Machine, output: str) -> None:
    with machine.database() as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('still here')")
    token, supervisor = machine.settings().label_studio_token, machine.process("supervisor")
    assert supervisor is not None
    supervisor.send_signal(signal.SIGKILL)
    eventually(lambda: machine.process("supervisor") is None)
    assert set(machine.states().values()) <= {"orphaned", "stopped"}
    assert machine.process("postgres") is not None

    machine.up()  # stops what was left, and starts anew
    with machine.database() as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("still here",)]
    assert machine.settings().label_studio_token == token

    supervisor = machine.process("supervisor")
    assert supervisor is not None
    supervisor.kill()
    processes = machine.processes()
    done = machine.assay("down")
    assert done.returncode == 0
    assert "postgres" in done.stdout
    assert not [process for process in processes if process.is_running()]
    assert "Nothing was running" in machine.assay("down").stdout
    assert set(machine.states().values()) == {"stopped"}

    report = machine.assay("label-studio", "doctor", "--json")
    assert report.returncode == 1
    names = {finding["finding"] for finding in json.loads(report.stdout)["findings"]}
    assert names == {"database-unreachable", "broker-down", "label-studio-unreachable", "part-not-running"}

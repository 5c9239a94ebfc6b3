"""docker-compose.yml without Docker: its schema, what its parts agree on, and its commands as processes."""

from __future__ import annotations

import importlib.resources
import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from plugin.settings import Settings
from plugin.stack import accounts, ssrf
from plugin.stack.label_studio import LabelStudio
from plugin.stack.part import StackError
from plugin.stack.plan import Plan
from plugin.stack.postgres import Postgres
from tests import servers
from tests.integration.compose import COMPOSE_FILE, DOTENV, ComposeRun, interpolate, load_compose

COMPOSE = load_compose()
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "assay:latest"}
ONCE = {"migrate", "access"}


def test_the_file_keeps_to_the_compose_schema() -> None:
    schemas = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = COMPOSE | {"services": {"web": {"comand": "x"}}}
    assert not validator.is_valid(broken)


def test_it_runs_the_parts_that_assay_up_runs(tmp_path: Path) -> None:
    parts = {part.name for wave in Plan(Settings(home=tmp_path)).waves() for part in wave}
    assert set(SERVICES) == parts - {"migrations"} | ONCE


@pytest.mark.parametrize("name", ["worker", "worker-scoring", "worker-evaluation", "beat", "web"])
def test_ours_take_the_same_work_as_under_assay_up(tmp_path: Path, name: str) -> None:
    (part,) = [part for wave in Plan(Settings(home=tmp_path)).waves() for part in wave if part.name == name]
    command = SERVICES[name]["command"]
    if name == "web":
        assert "plugin.web.app:create_app" in part.command
        assert "plugin.web.app:create_app" in command
        return
    for option in ("-A", "-Q", "-c"):
        assert (option in command) == (option in part.command)
        if option in command:
            assert command[command.index(option) + 1] == part.command[part.command.index(option) + 1]
    assert ("nice" in command) == (part.niceness > 0)


def test_every_host_that_is_named_exists_and_has_a_dot() -> None:
    named = set(re.findall(r"[a-z-]+\.assay\.internal", json.dumps(COMPOSE)))
    aliases = {
        alias
        for service in SERVICES.values()
        for network in service["networks"].values()
        for alias in network.get("aliases", ())
    }
    assert named == aliases
    assert {"web.assay.internal", "postgres.assay.internal"} <= named


def test_label_studio_may_reach_web_and_no_other_private_address() -> None:
    web = SERVICES["web"]["networks"]["assay"]["ipv4_address"]
    environment = SERVICES["label-studio"]["environment"]
    opening = {name: environment[name] for name in ssrf.environment(web)}
    assert opening == ssrf.environment(web)


def test_docker_never_gives_the_address_of_web_to_another() -> None:
    (pool,) = COMPOSE["networks"]["assay"]["ipam"]["config"]
    web = ipaddress.ip_address(SERVICES["web"]["networks"]["assay"]["ipv4_address"])
    assert web in ipaddress.ip_network(pool["subnet"])
    assert web not in ipaddress.ip_network(pool["ip_range"])
    assert ipaddress.ip_network(pool["ip_range"]).subnet_of(ipaddress.ip_network(pool["subnet"]))  # type: ignore[arg-type]


def test_label_studio_is_set_up_as_under_assay_up(tmp_path: Path) -> None:
    ours = LabelStudio(Path("python"), tmp_path, tmp_path, Postgres(tmp_path), 1, "", "").environment("label_studio")
    theirs = SERVICES["label-studio"]["environment"]
    where = {name for name in ours if name.startswith("POSTGRE_")} | {"LABEL_STUDIO_BASE_DATA_DIR", "LABEL_STUDIO_HOST"}
    opening = set(ssrf.environment("127.0.0.1"))
    assert {name: theirs[name] for name in ours if name not in where | opening} == {
        name: value for name, value in ours.items() if name not in where | opening
    }


def test_services_restart_and_tell_their_health_unless_they_run_once() -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) == (name not in ONCE), name
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name


def test_a_ready_file_does_not_outlive_its_process() -> None:
    for name, service in OURS.items():
        assert service["tmpfs"] == "/tmp", name  # noqa: S108 -- the container's
        assert service["environment"]["ASSAY_READY_FILE"].startswith("/tmp/"), name  # noqa: S108


def test_secrets_come_from_the_user_and_are_no_arguments() -> None:
    text = COMPOSE_FILE.read_text()
    for secret in DOTENV:
        uses = re.findall(rf"\$\{{{secret}([^}}]*)}}", text)
        assert all(use == ":?write it into .env" for use in uses), secret
        assert f"#        {secret}=..." in text, f"{secret} is not explained"
    assert "${" not in json.dumps([service["command"] for service in SERVICES.values()])
    with pytest.raises(KeyError, match=r"POSTGRES_PASSWORD write it into \.env"):
        interpolate("${POSTGRES_PASSWORD:?write it into .env}", {})


def test_nothing_is_published_beyond_this_machine_unless_asked() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert interpolate(port, {}).startswith("127.0.0.1:"), name


def test_the_image_is_built_from_files_that_exist_and_are_sent() -> None:
    ignore = (servers.CHECKOUT / ".dockerignore").read_text()
    dockerfile = (servers.CHECKOUT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    sources = [word for line in copied for word in line.split()]
    assert {"plugin", "db", "migrations", "tasks", "pyproject.toml"} <= set(sources)
    for source in sources:
        assert (servers.CHECKOUT / source).exists(), source
        assert f"!{source}\n" in ignore, source
    last_command = dockerfile.strip().rpartition("CMD ")[2]
    assert json.loads(last_command) == SERVICES["web"]["command"]


@pytest.fixture(scope="module")
def compose_run(postgres_server: servers.PostgresServer) -> Iterator[ComposeRun]:
    with servers.scratch_folder() as folder:
        run = ComposeRun(folder, postgres_server)
        try:
            yield run
        finally:
            run.close()


@pytest.mark.label_studio
@pytest.mark.parametrize("name", list(SERVICES))
def test_the_command_of_every_service_runs_and_gets_healthy(compose_run: ComposeRun, name: str) -> None:
    compose_run.start(name)
    if name not in ONCE:
        assert compose_run.is_healthy(name)


@pytest.mark.label_studio
def test_migrations_ran_and_the_token_works(compose_run: ComposeRun) -> None:
    compose_run.start("web")
    with compose_run.database("assay") as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    stack_file = (compose_run.folder / "assay" / "stack.env").read_text()
    (token,) = re.findall(r"ASSAY_LABEL_STUDIO_TOKEN='(.+)'", stack_file)
    url = compose_run.part("access").env["ASSAY_LABEL_STUDIO_URL"]
    assert accounts.token_works(url, token)


@pytest.mark.label_studio
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [("beat", "tasks", "taskz"), ("redis", "60 1", "60 times"), ("migrate", "upgrade", "upgrad")],
)
def test_a_broken_command_would_be_found(compose_run: ComposeRun, name: str, right: str, wrong: str) -> None:
    command = SERVICES[name]["command"]
    broken = {**SERVICES[name], "command": [wrong if word == right else word for word in command]}
    assert broken["command"] != command
    document = {**COMPOSE, "services": {**SERVICES, name: broken}}
    run = replace(compose_run, document=document, started=dict(compose_run.started))
    for needed in SERVICES[name].get("depends_on", {}):
        run.start(needed)
    run.started.pop(name, None)
    with pytest.raises(StackError, match=f"^{name} ended with exit code [1-9]|but not from our {name}:"):
        run.start(name)

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from plugin.settings import Settings, load_settings
from plugin.stack.part import Port
from plugin.stack.plan import Plan, is_taken
from tests.servers import free_port


def names(settings: Settings) -> list[str]:
    return [part.name for wave in Plan(settings).waves() for part in wave]


LABEL_STUDIO_ELSEWHERE = {"label_studio_url": "https://l.example.org", "label_studio_token": SecretStr("t")}
OURS = ["migrations", "web", "worker", "worker-scoring", "worker-evaluation", "beat"]


def test_everything_is_started_where_nothing_is_given(tmp_path: Path) -> None:
    assert names(Settings(home=tmp_path)) == ["postgres", "redis", "label-studio", *OURS]


def test_what_is_given_by_url_is_not_started(tmp_path: Path) -> None:
    database, broker = SecretStr("postgresql+psycopg://db.example.org/assay"), SecretStr("redis://r.example.org")
    assert names(Settings(home=tmp_path, broker_url=broker)) == ["postgres", "label-studio", *OURS]
    # Label Studio still needs the embedded PostgreSQL
    assert names(Settings(home=tmp_path, database_url=database)) == ["postgres", "redis", "label-studio", *OURS]
    given = Settings(home=tmp_path, database_url=database, broker_url=broker)
    assert names(given.model_copy(update=LABEL_STUDIO_ELSEWHERE)) == OURS


def test_every_other_command_reads_what_the_stack_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    awkward = SecretStr("""it's a "#$HOME\\' secret""")
    plan = Plan(Settings(home=tmp_path, webhook_secret=awkward, web_port=8123))
    plan.home.keep_secret("label_studio_token", "minted")
    plan.write_stack_file()
    read = load_settings()
    assert read.webhook_secret == awkward
    assert read.webhook_base_url == "http://127.0.0.1:8123"
    assert read.label_studio_url == "http://127.0.0.1:8041"
    assert read.label_studio_token == SecretStr("minted")
    assert read.broker_url == SecretStr(plan.redis.url)
    assert read.database_url == SecretStr(plan.postgres.url("assay"))
    assert read.ingest_token == SecretStr(plan.home.secret("ingest_token"))
    assert (tmp_path / "stack.env").stat().st_mode & 0o077 == 0


def test_the_environment_wins_over_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    Plan(Settings(home=tmp_path)).write_stack_file()
    monkeypatch.setenv("ASSAY_BROKER_URL", "redis://elsewhere")
    assert load_settings().broker_url == SecretStr("redis://elsewhere")


def test_no_secret_is_an_argument(tmp_path: Path) -> None:
    plan = Plan(Settings(home=tmp_path))
    arguments = " ".join(word for wave in plan.waves() for part in wave for word in part.command)
    plan.write_stack_file()
    assert all(secret not in arguments for secret in plan.home.kept_secrets().values())


def test_all_taken_ports_are_named_with_the_setting_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        web, redis = first.getsockname()[1], second.getsockname()[1]
        settings = Settings(
            home=tmp_path,
            label_studio_python=Path(sys.executable),
            web_port=web,
            redis_port=redis,
        )
        problems = "\n".join(Plan(settings.model_copy(update=LABEL_STUDIO_ELSEWHERE)).problems())
    assert f"port {web} is taken, web needs it: set ASSAY_WEB_PORT" in problems
    assert f"port {redis} is taken, redis needs it: set ASSAY_REDIS_PORT" in problems


def test_two_parts_cannot_share_a_port(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(home=tmp_path, web_port=port, redis_port=port)
    (problem,) = Plan(settings.model_copy(update=LABEL_STUDIO_ELSEWHERE)).problems()
    assert problem == f"web and redis both want port {port}: change ASSAY_WEB_PORT"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label_studio_url": "https://l.example.org"}, "without ASSAY_LABEL_STUDIO_TOKEN"),
        ({"label_studio_python": Path("/nowhere/python")}, "no label-studio in /nowhere/python: run `make setup`"),
        ({"label_studio_python": Path(sys.executable)}, "no label-studio in"),
        ({**LABEL_STUDIO_ELSEWHERE, "webhook_secret": "x${HOME}"}, "ASSAY_WEBHOOK_SECRET contains '${'"),
        ({"web_host": "no-such-host.invalid"}, "ASSAY_WEB_HOST=no-such-host.invalid"),
    ],
)
def test_what_cannot_work_is_found_before_anything_starts(tmp_path: Path, given: dict[str, object], said: str) -> None:
    settings = Settings.model_validate({"home": tmp_path, "web_port": free_port(), "redis_port": free_port(), **given})
    problems = Plan(settings).problems()
    assert said in "\n".join(problems)


def test_a_free_port_is_not_taken() -> None:
    assert not is_taken(Port("127.0.0.1", free_port(), "ASSAY_WEB_PORT"))

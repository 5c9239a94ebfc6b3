"""Who may come in: refused before the body is read and before the database is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import SecretStr

from plugin.settings import Settings, SettingsError
from plugin.web.app import create_app
from plugin.web.headers import HEADERS
from plugin.wiring import Wiring
from tests.unit.web.conftest import SECRET, TOKEN, WEBHOOK, Door, problem

TOKEN_HINT = "send the ingest token as `Authorization: Bearer TOKEN`"
SECRET_HINT = "send the webhook secret in X-Assay-Secret"


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Bearer {TOKEN} x",
        f"Bearer {TOKEN.upper()}", TOKEN, f"Basic {TOKEN}", f"Token {TOKEN}", "Bearer tökén", "Bearer \xff",
    ],
)  # fmt: skip
def test_records_need_the_token(door: Door, authorization: str | None) -> None:
    answer = door.utterances(authorization=authorization)
    assert problem(answer) == (401, TOKEN_HINT)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", [None, "", "wrong", SECRET[:-1], f"{SECRET}x", SECRET.upper(), "sécret", "\xff"])
def test_webhooks_need_the_secret(door: Door, given: str | None) -> None:
    assert problem(door.webhook(x_assay_secret=given)) == (401, SECRET_HINT)


def test_a_key_opens_only_its_own_door(door: Door) -> None:
    assert door.utterances(authorization=f"Bearer {SECRET}").status_code == 401
    assert door.webhook(x_assay_secret=TOKEN).status_code == 401
    assert door.utterances(authorization=None, x_assay_secret=TOKEN).status_code == 401
    assert door.webhook(x_assay_secret=None, authorization=f"Bearer {SECRET}").status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_right_key_the_body_is_looked_at(door: Door, scheme: str) -> None:
    assert problem(door.utterances(b"", authorization=f"{scheme} {TOKEN}")) == (422, "the body holds no record")
    assert problem(door.webhook(b"{")) == (400, "the body is not JSON")


@pytest.mark.parametrize("nothing", [None, SecretStr("")])
def test_a_key_that_is_not_set_closes_the_door(make_door: Callable[..., Door], nothing: SecretStr | None) -> None:
    """Otherwise an empty key would open it."""
    door = make_door(ingest_token=nothing, webhook_secret=nothing)
    for authorization in (None, "Bearer ", f"Bearer {TOKEN}"):
        answer = door.utterances(authorization=authorization)
        assert problem(answer) == (503, "this door is closed: ASSAY_INGEST_TOKEN is not set")
    for given in (None, "", SECRET):
        answer = door.webhook(x_assay_secret=given)
        assert problem(answer) == (503, "this door is closed: ASSAY_WEBHOOK_SECRET is not set")


def test_the_body_of_a_stranger_is_not_read(door: Door) -> None:
    read: list[bytes] = []

    async def pieces() -> AsyncIterator[bytes]:
        read.append(b"x")
        yield b"x"

    assert door.utterances(pieces(), authorization="Bearer wrong").status_code == 401
    assert door.webhook(pieces(), x_assay_secret="wrong").status_code == 401
    assert read == []


@pytest.mark.parametrize("path", ["/health/live", "/nowhere", WEBHOOK, "/api/openapi.json"])
def test_browsers_are_told_to_do_nothing_with_any_answer(door: Door, path: str) -> None:
    answer = door.get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_no_page_loads_scripts_of_other_hosts(door: Door) -> None:
    assert [door.get(path).status_code for path in ("/docs", "/redoc", "/")] == [404, 404, 404]
    described = door.get("/api/openapi.json").json()
    assert {"/api/utterances", "/webhooks/label-studio", "/health/ready"} <= described["paths"].keys()


@pytest.mark.parametrize("missing", ["database_url", "broker_url"])
def test_it_does_not_start_without_its_parts(missing: str) -> None:
    addresses = {"database_url": SecretStr("postgresql:///assay"), "broker_url": SecretStr("redis://127.0.0.1:1/0")}
    del addresses[missing]
    wiring = Wiring(Settings(**addresses))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=f"ASSAY_{missing.upper()} is not set"):
        create_app(wiring)
    wiring.close()

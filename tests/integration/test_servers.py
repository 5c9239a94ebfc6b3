"""The fixtures themselves: real servers, each test run and each test on its own."""

from __future__ import annotations

from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from plugin.stack import accounts
from tests.servers import LabelStudioServer, PostgresServer


def psycopg_url(url: str) -> str:
    return url.replace("+psycopg", "")


def test_postgres_is_18_with_the_extensions_of_label_studio(
    postgres_server: PostgresServer, empty_database_url: str
) -> None:
    with psycopg.connect(psycopg_url(empty_database_url), autocommit=True) as connection:
        assert connection.info.server_version // 10_000 == 18
        connection.execute("CREATE EXTENSION pg_trgm")
        connection.execute("CREATE EXTENSION btree_gin")


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_a_test_commits_is_gone_after_it(session: Session, attempt: int) -> None:
    assert session.scalar(text("SELECT to_regclass('left_behind')")) is None
    session.execute(text("CREATE TABLE left_behind (attempt int)"))
    session.commit()
    assert session.scalar(text("SELECT to_regclass('left_behind')")) is not None


def test_a_clean_database_is_migrated_and_its_own(connection: Connection, clean_database_url: str) -> None:
    with psycopg.connect(psycopg_url(clean_database_url)) as clean:
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
        assert clean.execute("SELECT version_num, current_database() FROM alembic_version").fetchone() == (
            revision,
            clean.info.dbname,
        )
        assert clean.info.dbname != connection.engine.url.database


def test_redis_is_a_broker_with_a_password(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
    stranger = redis.Redis.from_url("redis://" + redis_url.partition("@")[2])
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


@pytest.mark.label_studio
def test_four_annotators_have_tokens_of_their_own(label_studio_server: LabelStudioServer) -> None:
    people = label_studio_server.annotators(4)
    assert len({person.token for person in people}) == 4
    assert all(accounts.token_works(label_studio_server.url, person.token) for person in people)


@pytest.mark.label_studio
def test_nobody_signs_up_without_an_invitation(label_studio_server: LabelStudioServer) -> None:
    with httpx.Client(base_url=label_studio_server.url) as browser:
        browser.get("/user/signup/")
        form = {"email": "stranger@example.org", "password": "long-enough-1"}
        csrf = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": label_studio_server.url}
        assert browser.post("/user/signup/", data=form, headers=csrf).status_code == 403


def test_what_redis_keeps_is_for_its_owner_only(redis_url: str, server_folder: Path) -> None:
    assert (server_folder / "redis").stat().st_mode & 0o077 == 0

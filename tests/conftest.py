"""Fixtures of real servers. Nothing here starts before a test asks for it; each xdist worker has its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from tests import servers

TEMPLATE = "assay_template"
KEPT_VARIABLES = {"ASSAY_TEST_CACHE", "ASSAY_LABEL_STUDIO_PYTHON"}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    with servers.scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _no_environment_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may see, or change, the stack that the developer runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ASSAY_") and name not in KEPT_VARIABLES]:
            patch.delenv(name)
        patch.setenv("ASSAY_HOME", str(tmp_path_factory.mktemp("assay-home")))
        yield


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[servers.PostgresServer]:
    with servers.postgres_server(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: servers.PostgresServer) -> str:
    """Built by Alembic, as in production, once; databases of tests are copies. Nothing stays connected."""
    from db.migrate import upgrade

    upgrade(postgres_server.create(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def database_url(postgres_server: servers.PostgresServer, _migrated_template: str) -> str:
    return postgres_server.create("assay", template=_migrated_template)


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    from db.session import make_engine

    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """An outer transaction that is rolled back, whatever the test commits within."""
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture
def session(connection: Connection) -> Iterator[Session]:
    with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
        yield session


@pytest.fixture
def clean_database_url(postgres_server: servers.PostgresServer, _migrated_template: str) -> Iterator[str]:
    """A migrated database of this test's own: for worker processes, real commits, COPY and migrations."""
    name = f"assay_clean_{next(_numbers)}"
    yield postgres_server.create(name, template=_migrated_template)
    postgres_server.drop(name)


@pytest.fixture
def empty_database_url(postgres_server: servers.PostgresServer) -> Iterator[str]:
    name = f"assay_empty_{next(_numbers)}"
    yield postgres_server.create(name)
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def redis_url(server_folder: Path) -> Iterator[str]:
    with servers.redis_server(server_folder) as url:
        yield url


@pytest.fixture(scope="session")
def label_studio_server(
    server_folder: Path, postgres_server: servers.PostgresServer
) -> Iterator[servers.LabelStudioServer]:
    """A real Label Studio. Tests share it: make a project of your own."""
    with servers.label_studio_server(server_folder, postgres_server) as server:
        yield server

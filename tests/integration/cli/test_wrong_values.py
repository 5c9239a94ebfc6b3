from __future__ import annotations

import pytest

from db import migrate
from tests.integration.cli.conftest import Refused

BEYOND_BIGINT = "99999999999999999999"


@pytest.mark.parametrize(
    "arguments",
    [
        ("selection", "show", BEYOND_BIGINT),
        ("selection", "replay", BEYOND_BIGINT),
        ("evaluation", "show", BEYOND_BIGINT),
    ],
)
@pytest.mark.usefixtures("configured")
def test_an_id_that_no_row_can_have(refused: Refused, arguments: tuple[str, ...]) -> None:
    assert "bigint out of range" in refused(*arguments)


@pytest.mark.usefixtures("configured")
def test_a_revision_that_is_not_there(refused: Refused, clean_database_url: str) -> None:
    said = refused("db", "upgrade", "nosuchrev")
    assert "nosuchrev" in said
    assert f"the newest is {migrate.head_revision()}" in said
    assert migrate.current_revision(clean_database_url) == migrate.head_revision()


@pytest.mark.usefixtures("configured")
def test_an_empty_revision(refused: Refused) -> None:
    assert "leave it out for the newest" in refused("db", "upgrade", "")


@pytest.mark.usefixtures("configured")
def test_a_byte_that_is_not_utf_8(refused: Refused) -> None:
    assert "cannot be stored or shown" in refused("policy", "history", "--locale", "\udcff")
    assert "cannot be stored or shown" in refused("evaluation", "list", "--locale", "\udcff")

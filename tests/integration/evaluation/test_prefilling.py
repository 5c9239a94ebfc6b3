"""The accept rate of what is filled in beside that of what is shown blind."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from plugin.cli.status import accepted
from plugin.services import prefilling
from plugin.services.status import status
from tests.integration.evaluation.conftest import LOCALE, World

NOW = datetime.now(UTC)


def annotate(world: World, count: int, verdict: str, **changed: object) -> None:
    for _ in range(count):
        number = world.annotation_id
        world.annotate(world.utterance(f"play number {number}"), verdict, **changed)


def test_the_rates_and_their_difference(session: Session, world: World) -> None:
    annotate(world, 15, "accept")
    annotate(world, 3, "fix")
    annotate(world, 2, "reject")
    annotate(world, 2, "accept", shown_blind=True)
    annotate(world, 2, "fix", shown_blind=True)
    annotate(world, 5, "accept", shown_blind=True, kind="second")
    annotate(world, 5, "accept", shown_blind=True, withdrawn_at=NOW)
    world.gold("play gold", "train")
    [line] = prefilling.by_locale(session)
    assert line["locale"] == LOCALE
    assert (line["prefilled"]["value"], line["prefilled"]["n"]) == (0.75, 20)
    assert (line["blind"]["value"], line["blind"]["n"]) == (0.5, 4)
    assert line["difference"]["value"] == 0.25
    assert line["difference"]["ci_low"] < 0.0 < 0.25 < line["difference"]["ci_high"]
    assert status(session, NOW)["accepted"] == [line]
    words = accepted(line)
    assert words.startswith(f"accepted ({LOCALE}): 75% of 20 filled in and 50% of 4 shown blind: +25 points [")


@pytest.mark.parametrize("shown_blind", [False, True])
def test_nothing_is_compared_before_there_is_both(session: Session, world: World, shown_blind: bool) -> None:
    annotate(world, 3, "accept", shown_blind=shown_blind)
    assert prefilling.by_locale(session) == []

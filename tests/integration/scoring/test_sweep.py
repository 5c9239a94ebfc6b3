"""The sweep looks at what came in since it last found everything scored, never at the whole pool each minute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from db.models import Score, UtteranceRow
from plugin.services import scoring
from tasks import scoring as celery_tasks
from tests import factories
from tests.integration.scoring.conftest import EVERYTHING, FakeWiring, count_scores

ScoreAll = Callable[[], int]
SIZE = 2


def came_in(session: Session, ids: list[int], ago: timedelta) -> None:
    at = text("clock_timestamp() - CAST(:ago AS interval)").bindparams(ago=ago)
    session.execute(update(UtteranceRow).where(UtteranceRow.id.in_(ids)).values(ingested_at=at))


def old_pool(session: Session, count: int = 4, **changed: object) -> list[int]:
    ids = [row.id for row in factories.utterances(session, count, **changed)]
    came_in(session, ids, timedelta(days=1))
    return ids


def swept(session: Session) -> set[int]:
    """Every id within the ranges that a sweep sends."""
    return {id_ for first, last in scoring.unsent(session, SIZE) for id_ in range(first, last + 1)}


@pytest.fixture(params=["champion", "own scores"])
def old(request: pytest.FixtureRequest, session: Session) -> list[int]:
    """An old pool, to be scored by a champion or by its source's own numbers."""
    if request.param == "champion":
        factories.champion(session)
        return old_pool(session)
    return old_pool(session, domain_scores={"music": 0.5})


def test_what_was_once_found_scored_is_not_looked_at_again(
    session: Session, old: list[int], score_all: ScoreAll
) -> None:
    score_all()
    assert swept(session) == set()
    session.execute(delete(Score))
    assert swept(session) == set()


def test_an_unscored_utterance_is_sent_until_it_is_scored(session: Session, old: list[int], wiring: FakeWiring) -> None:
    celery_tasks.score_batch(old[1], old[3])
    for _ in range(3):
        assert swept(session) == {old[0]}
    celery_tasks.score_batch(*EVERYTHING)
    assert swept(session) == set()


def test_a_revision_of_an_old_utterance_is_found(session: Session, old: list[int], score_all: ScoreAll) -> None:
    score_all()
    assert swept(session) == set()
    session.execute(update(UtteranceRow).where(UtteranceRow.id == old[0]).values(revision=2, text="changed"))
    came_in(session, old[:1], scoring.SENT_BY_NOW)
    assert swept(session) == {old[0]}


def test_what_was_committed_long_after_it_came_in_is_found(
    session: Session, old: list[int], score_all: ScoreAll
) -> None:
    score_all()
    assert swept(session) == set()
    session.execute(delete(Score).where(Score.utterance_id == old[0]))
    came_in(session, old[:1], timedelta(minutes=30))
    assert swept(session) == {old[0]}


def test_a_new_champion_has_the_whole_pool_looked_at(session: Session, score_all: ScoreAll) -> None:
    ids = old_pool(session)
    factories.champion(session)
    score_all()
    assert swept(session) == set()
    factories.champion(session, name="fake-2")
    assert swept(session) == set(ids)


def test_each_locale_is_looked_at_on_its_own(session: Session, score_all: ScoreAll) -> None:
    old_pool(session)
    factories.champion(session)
    score_all()
    swahili = old_pool(session, locale="sw-KE", source="swahili")
    assert swept(session) == set()
    factories.champion(session, "sw-KE", name="swahili-1")
    assert swept(session) == set(swahili)


def test_a_range_that_holds_more_than_a_batch_is_scored_batch_by_batch(
    batches_of_two: FakeWiring, old: list[int]
) -> None:
    """The earliest are sent first, so any number may lie between two of them."""
    for done in (2, 4):
        celery_tasks.score_batch(old[0], old[3])
        assert count_scores(batches_of_two.transaction) == done

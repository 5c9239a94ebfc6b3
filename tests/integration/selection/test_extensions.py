"""A round goes on while utterances come in, until it has to be replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import AnnotationRow, Queue, Refresh, SelectionItemRow, SelectionRow
from db.repositories import examples, polls, selections, strata
from db.session import TransactionMaker
from plugin.services import policies, scoring, selection
from plugin.services.policies import ANY
from plugin.services.selection import extensions
from tests import factories
from tests.fakes.scorer import FakeScorer

LOCALE, INSTANCE = "en-US", "main"
EVERY = timedelta(seconds=20)


@pytest.fixture
def transaction(session: Session) -> TransactionMaker:
    @contextmanager
    def make() -> Iterator[Session]:
        with session.begin_nested():
            yield session
        session.expire_all()

    return make


def score(session: Session) -> None:
    for batch in scoring.read_batches(session, 0, 2**62):
        scoring.write(session, scoring.compute(batch, FakeScorer()))


def arrive(session: Session, count: int, source: str = "new", **changed: Any) -> list[int]:
    rows = factories.utterances(session, count, source=source, **{"nlu_score": 0.5, **changed})
    for row in rows:
        if "text" not in changed:
            row.text = f"{source} says {row.text}"
    session.flush()
    score(session)
    return [row.id for row in rows]


def set_policy(session: Session, domain: str = ANY, **values: Any) -> None:
    policies.change(session, LOCALE, domain, values, changed_by="test", comment="")


@pytest.fixture
def round_(session: Session, transaction: TransactionMaker) -> SelectionRow:
    """Sixty of 180."""
    factories.champion(session)
    arrive(session, 180, source="log")
    set_policy(session, strategy="entropy", budget=60)
    made = keep_up(transaction)
    assert made.round_id is not None
    row = selections.get(session, made.round_id)
    assert row is not None
    return row


def keep_up(transaction: TransactionMaker) -> selection.Refreshed:
    return selection.keep_up(transaction, LOCALE, datetime.now(UTC), INSTANCE)


def later(session: Session, seconds: float = 60) -> None:
    """As if the last refresh were so long ago, and all scores longer."""
    session.execute(update(Refresh).values(began_at=Refresh.began_at - timedelta(seconds=seconds)))
    session.execute(text("UPDATE scores SET scored_at = scored_at - interval '1 hour'"))
    session.expire_all()


def items(session: Session, selection_id: int) -> list[SelectionItemRow]:
    return list(session.scalars(select(SelectionItemRow).where(SelectionItemRow.selection_id == selection_id)))


def test_arrivals_get_their_share_and_as_many_leave(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    new = arrive(session, 40)
    done = keep_up(transaction)
    assert done.round_id is None
    assert done.extension_id is not None
    extension = selections.get(session, done.extension_id)
    assert extension is not None
    assert (extension.extends_id, extension.superseded_at) == (round_.id, None)
    current = selections.current(session, LOCALE)
    assert current is not None
    assert current.id == round_.id
    chosen = items(session, extension.id)
    assert len(chosen) == 11  # of 60 * 40 / 220
    assert {item.utterance_id for item in chosen} < set(new)
    assert sum("control" in item.arms for item in chosen) == 2
    assert all(0 < item.inclusion_probability <= 1 for item in chosen)
    assert extension.frame_size == 40
    dropped = [item for item in items(session, round_.id) if item.dropped_by == extension.id]
    assert len(dropped) + sum(item.dropped_by is not None for item in chosen) == 11
    kept = [item for item in strata.items(session, round_.id) if not item.is_dropped]
    assert len(kept) == 60


def test_who_leaves_is_furthest_back(session: Session, transaction: TransactionMaker, round_: SelectionRow) -> None:
    arrive(session, 40)
    done = keep_up(transaction)
    for domain in factories.DOMAINS:
        ranks = {item.rank: item.dropped_by for item in items(session, round_.id) if item.domain == domain}
        gone = [rank for rank, by in sorted(ranks.items()) if by == done.extension_id]
        assert gone == sorted(ranks)[len(ranks) - len(gone) :]


def test_an_extension_replays_byte_for_byte(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    arrive(session, 40)
    done = keep_up(transaction)
    assert done.extension_id is not None
    stored, snapshot = selection.replay(session, done.extension_id)
    assert selection.items_hash(selection.choose(snapshot)) == stored.items_hash
    assert selection.whole_hash(snapshot) == stored.frame_hash


def test_twice_is_once(session: Session, transaction: TransactionMaker, round_: SelectionRow) -> None:
    arrive(session, 40)
    assert keep_up(transaction).extension_id is not None
    again = keep_up(transaction)
    assert (again.round_id, again.extension_id, again.waiting) == (None, None, 0)


def test_arrivals_in_two_parts_are_stretched_over_like_all_at_once(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    for number in range(2):
        arrive(session, 20, source=f"part {number}")
        assert keep_up(transaction).extension_id is not None
    extensions_ = strata.of_round(session, round_.id)[1:]
    assert [len(items(session, row.id)) for row in extensions_] == [6, 5]  # 60 * 20 / 200, 60 * 20 / 220
    assert sum(not item.is_dropped for item in strata.items(session, round_.id)) == 60


def test_too_few_wait_together(session: Session, transaction: TransactionMaker, round_: SelectionRow) -> None:
    few = arrive(session, 6)
    done = keep_up(transaction)
    assert (done.is_news, done.waiting) == (False, 6)
    row = session.get_one(Refresh, LOCALE)
    assert row.waiting == 6
    assert row.waiting_since is not None
    more = arrive(session, 24, source="more")
    done = keep_up(transaction)
    assert done.extension_id is not None
    frame = selections.frame(session, done.extension_id)
    assert set(selection.unpack_ids(frame.ids).tolist()) == {*few, *more}
    assert session.get_one(Refresh, LOCALE).waiting_since is None


def test_parts_of_a_round_are_stretched_apart_and_wait_apart(session: Session, transaction: TransactionMaker) -> None:
    factories.champion(session)
    arrive(session, 240, source="log")
    set_policy(session, strategy="entropy", budget=60)
    set_policy(session, domain="music", budget=20)
    first = keep_up(transaction).round_id
    assert first is not None
    arrive(session, 12, domain="music", intent="music_play", source="music")
    waiting = arrive(session, 9, domain="weather", intent="weather_query", source="weather")
    done = keep_up(transaction)
    assert done.waiting == 21
    more = arrive(session, 24, domain="weather", intent="weather_query", source="more weather")
    done = keep_up(transaction)
    assert done.extension_id is not None
    assert done.waiting == 12
    extension = selections.get(session, done.extension_id)
    assert extension is not None
    assert set(extension.policy) == {ANY}
    assert set(selection.unpack_ids(selections.frame(session, extension.id).ids).tolist()) == {*waiting, *more}
    later_ones = arrive(session, 14, domain="music", intent="music_play", source="more music")
    done = keep_up(transaction)
    assert done.extension_id is not None
    last = selections.get(session, done.extension_id)
    assert last is not None
    assert set(last.policy) == {"music"}
    assert last.frame_size == 12 + len(later_ones)
    in_music = [item for item in strata.items(session, first, "music") if not item.is_dropped]
    assert len(in_music) == 20
    assert len([item for item in strata.items(session, first) if not item.is_dropped]) == 80


def test_nothing_that_is_asked_or_answered_comes_in_again(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    asked = items(session, round_.id)[0]
    [words] = session.execute(text("SELECT text FROM utterances WHERE id = :id"), {"id": asked.utterance_id}).one()
    arrive(session, 39)
    [twin] = arrive(session, 1, source="twin", text=f"{words}!")
    done = keep_up(transaction)
    assert done.extension_id is not None
    frame = selection.unpack_ids(selections.frame(session, done.extension_id).ids).tolist()
    assert len(frame) == 39
    assert twin not in frame


def test_a_revised_record_comes_in_anew(session: Session, transaction: TransactionMaker, round_: SelectionRow) -> None:
    waiting = next(item for item in items(session, round_.id) if item.domain == "music").utterance_id
    session.execute(
        text("UPDATE utterances SET revision = 2, text = 'something else entirely' WHERE id = :id"), {"id": waiting}
    )
    score(session)
    arrive(session, 39)
    done = keep_up(transaction)
    assert done.extension_id is not None
    assert waiting in selection.unpack_ids(selections.frame(session, done.extension_id).ids)


def test_more_than_a_quarter_of_the_frame_makes_a_new_round(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    arrive(session, 30)
    assert keep_up(transaction).extension_id is not None
    arrive(session, 16, source="more")
    done = keep_up(transaction)
    assert done.round_id is not None
    assert "more came in" in done.why
    assert strata.of_round(session, done.round_id)[1:] == []
    row = selections.get(session, done.round_id)
    assert row is not None
    assert row.frame_size == 226
    assert all(stratum.superseded_at is not None for stratum in strata.of_round(session, round_.id))


def test_a_changed_policy_makes_a_new_round_and_what_decides_nothing_does_not(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    later(session)
    set_policy(session, train_on_weak=True)
    assert selection.due(session, EVERY) == []
    assert not keep_up(transaction).is_news
    later(session)
    set_policy(session, control_share=0.3)
    assert selection.due(session, EVERY) == [LOCALE]
    done = keep_up(transaction)
    assert done.round_id is not None
    assert done.why == "the policy was changed"
    later(session)
    assert selection.due(session, EVERY) == []


def test_a_seed_that_a_person_gave_stands(session: Session, transaction: TransactionMaker) -> None:
    factories.champion(session)
    arrive(session, 60, source="log")
    set_policy(session, budget=10)
    selection.refresh(transaction, LOCALE, datetime.now(UTC), INSTANCE, seed=77)
    assert not keep_up(transaction).is_news
    row = selections.current(session, LOCALE)
    assert row is not None
    assert row.seed == 77


def test_a_new_champion_makes_a_new_round_once_it_has_scored_the_pool(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    session.execute(text("UPDATE utterances SET ingested_at = ingested_at - interval '1 hour'"))
    factories.champion(session, name="fake-2")
    later(session)
    assert selection.due(session, EVERY) == [LOCALE]
    done = keep_up(transaction)
    assert done.problem is not None
    assert "not scored by its champion fake-2" in done.problem
    later(session, 30)
    assert selection.due(session, EVERY) == []  # it is left alone for a while
    later(session, 40)
    assert selection.due(session, EVERY) == [LOCALE]
    score(session)
    done = keep_up(transaction)
    assert done.round_id is not None
    assert done.why == "fake-2 is the champion now"
    assert session.get_one(Refresh, LOCALE).problem is None


def test_only_news_are_due_and_not_too_often(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    assert selection.due(session, EVERY) == []
    later(session)
    assert selection.due(session, EVERY) == []
    arrive(session, 3)
    assert selection.due(session, EVERY) == [LOCALE]
    keep_up(transaction)
    assert selection.due(session, EVERY) == []
    later(session)
    assert selection.due(session, EVERY) == []
    arrive(session, 3, source="more")
    assert selection.due(session, EVERY) == [LOCALE]
    arrive(session, 3, source="other", locale="de-DE")
    factories.champion(session, "de-DE", name="german")
    assert selection.due(session, EVERY) == [LOCALE]  # German has no round yet: a person begins the first


def test_an_extension_of_a_round_that_has_gone_on_is_not_written(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    arrive(session, 40)
    found = extensions.read_arrivals(session, round_).distinct()
    snapshot = extensions.complete(session, found)
    chosen = selection.choose(snapshot)
    assert keep_up(transaction).extension_id is not None
    assert extensions.write(session, found, snapshot, chosen, INSTANCE) is None
    assert len(strata.of_round(session, round_.id)) == 2


def test_queues_that_change_are_to_be_published(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    session.execute(update(Queue).values(dirty=False))
    arrive(session, 40, domain="music", intent="music_play")
    done = keep_up(transaction)
    assert done.extension_id is not None
    gone = {item.domain for item in items(session, round_.id) if item.dropped_by is not None}
    dirty = set(session.scalars(select(Queue.domain).where(Queue.dirty)))
    assert dirty == {"music"} | gone


def test_reviews_of_an_extension_count_for_the_strategy_of_its_round(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    arrive(session, 40)
    done = keep_up(transaction)
    assert done.extension_id is not None
    now = polls.clock(session)
    asked = [item for id_ in (round_.id, done.extension_id) for item in items(session, id_)]
    reviewed = [item for item in asked if "strategy" in item.arms]
    for number, item in enumerate(reviewed):
        session.add(
            AnnotationRow(
                utterance_id=item.utterance_id, revision=item.revision, instance=INSTANCE, annotation_id=number,
                task_id=number, verdict="fix", domain="music", intent="music_play", annotator="ann", created_at=now,
                updated_at=now,
            )
        )  # fmt: skip
    session.flush()
    assert selections.outcomes(session, LOCALE, ANY, ANY) == [("entropy", len(reviewed), len(reviewed))]


def test_what_left_the_round_trains_nothing(
    session: Session, transaction: TransactionMaker, round_: SelectionRow
) -> None:
    arrive(session, 40)
    keep_up(transaction)
    kept = {item.utterance_id for item in strata.items(session, round_.id) if not item.is_dropped}
    assert {row.utterance_id for row in examples.selected_weak(session, LOCALE)} == kept

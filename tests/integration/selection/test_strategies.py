"""Every strategy through the database: what a round reads, what it says when that is not there, and its replay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import AnnotationRow, Feature, Score, SelectionItemRow
from db.repositories import selections
from plugin.quality.selection import frame_hash, needs
from plugin.records import CONCRETE, Strategy
from plugin.services import selection
from plugin.services.selection import UnusableError, to_frame
from tests import factories
from tests.integration.selection.test_rounds import NOW, annotate, new_round, scored_pool, set_policy

ALL = pytest.mark.parametrize("strategy", CONCRETE)
WIDTHS = {"domain_probs": 3, "intent_probs": 3, "slot_mass": 2, "embedding": 4}


def known_pool(session: Session, count: int = 90) -> None:
    """Scored, with every column that strategies look at and features that differ."""
    scored_pool(session, count, nlu_score=0.5)
    rng = np.random.default_rng(0)
    columns = {score for strategy in CONCRETE if (score := needs(strategy).score)}
    for row in session.scalars(select(Score)):
        values: dict[str, Any] = {name: float(rng.random() / 2) for name in columns}
        # Values that come and go together, whether a strategy looks at them or not.
        values |= {"forgetting": 1.0, "label_confidence": 0.5}
        key = (Score.utterance_id == row.utterance_id, Score.model_version_id == row.model_version_id)
        session.execute(update(Score).where(*key).values(values))
    for feature in session.scalars(select(Feature)):
        vectors = {name: rng.dirichlet(np.ones(width)).astype("<f2").tobytes() for name, width in WIDTHS.items()}
        key = (Feature.utterance_id == feature.utterance_id, Feature.model_version_id == feature.model_version_id)
        session.execute(update(Feature).where(*key).values(vectors))


@ALL
@pytest.mark.parametrize("allocation", ["global", "equal"])
def test_a_round_of_every_strategy_is_stored_and_replays_byte_for_byte(
    session: Session, strategy: Strategy, allocation: str
) -> None:
    known_pool(session)
    set_policy(session, strategy=strategy.value, allocation=allocation, budget=24, hard_share=0.5, seed=3)
    row = new_round(session)
    items = selections.items(session, row.id)
    assert len(items) == 24
    if strategy is not Strategy.RANDOM:
        assert {item.composition for item in items} == {"hard", "easy", None}

    # The world goes on: one is reviewed, gold data comes in with the texts of others, and the policy changes.
    annotate(session, items[1].utterance_id)
    for number, item in enumerate(items[2:6]):
        wording = session.scalars(text(f"SELECT upper(text) FROM utterances WHERE id = {item.utterance_id}")).one()
        [gold] = factories.utterances(session, 1, source=f"gold {number}", partition="test", text=wording)
        annotate(session, gold.id)
    set_policy(session, strategy="random" if strategy is not Strategy.RANDOM else "entropy", budget=5)

    stored, snapshot = selection.replay(session, row.id)
    assert selection.items_hash(selection.choose(snapshot)) == stored.items_hash
    assert frame_hash(to_frame(snapshot, range(len(snapshot.rows)), snapshot.features)) == stored.frame_hash


@ALL
def test_only_what_the_strategy_looks_at_is_read(session: Session, strategy: Strategy) -> None:
    known_pool(session, 30)
    set_policy(session, strategy=strategy.value, budget=5)
    snapshot = selection.read(session, "en-US", NOW)
    score = needs(strategy).score
    assert snapshot.columns == ((score,) if score else ())
    assert set(snapshot.features) == set(needs(strategy).features)
    for name, matrix in snapshot.features.items():
        for row, vector in zip(snapshot.rows, matrix, strict=True):
            stored = session.scalars(select(getattr(Feature, name)).where(Feature.utterance_id == row.id)).one()
            assert vector.astype("<f2").tobytes() == stored


def test_each_round_reads_for_its_own_strategy(session: Session) -> None:
    known_pool(session)
    set_policy(session, budget=12, strategy="margin")
    set_policy(session, domain="music", budget=9, strategy="k-means")
    snapshot = selection.read(session, "en-US", NOW)
    assert snapshot.columns == ("confidence", "margin")
    music = np.array([row.domain == "music" for row in snapshot.rows])
    assert np.isnan(snapshot.features["slot_mass"][~music]).all()
    assert np.isfinite(snapshot.features["slot_mass"][music].astype(np.float64)).all()
    items = selection.choose(snapshot)
    assert sum(item.domain == "music" for item in items) == 9
    assert len(items) == 21
    row = selection.write(session, snapshot, items)
    assert selection.items_hash(selection.choose(selection.replay(session, row.id)[1])) == row.items_hash


def test_the_hardest_by_margin_are_those_of_the_smallest(session: Session) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="margin", budget=10, control_share=0.0)
    row = new_round(session)
    lowest = session.scalars(select(Score.utterance_id).order_by(Score.margin).limit(10)).all()
    chosen = session.scalars(select(SelectionItemRow.utterance_id).where(SelectionItemRow.selection_id == row.id)).all()
    assert set(chosen) == set(lowest)


def test_scores_that_the_model_does_not_give_are_named_with_what_to_do(session: Session) -> None:
    known_pool(session, 40)
    session.execute(update(Score).where(Score.utterance_id % 4 == 0).values(mutual_information=None))
    missing = len([row for row in selection.read(session, "en-US", NOW).rows if row.id % 4 == 0])
    set_policy(session, strategy="bald")
    with pytest.raises(
        UnusableError,
        match=rf"^strategy bald looks at 'mutual_information', which model fake-1 does not give for {missing} eligible "
        r"utterances of en-US: run `assay evaluation train --locale en-US` for a model that does, or choose another "
        r"strategy: `assay policy set --locale en-US --strategy entropy`$",
    ):
        selection.read(session, "en-US", NOW)


@pytest.mark.parametrize("lacking", [update(Score).values(confidence=None), text("DELETE FROM features")])
def test_a_model_too_old_for_the_default_is_served_by_what_the_message_says(session: Session, lacking: Any) -> None:
    known_pool(session, 40)
    session.execute(lacking)
    with pytest.raises(UnusableError, match=r"^strategy k-means looks at .*`assay policy set .* --strategy entropy`$"):
        selection.read(session, "en-US", NOW)
    set_policy(session, strategy="entropy", budget=5)
    assert len(selection.choose(selection.read(session, "en-US", NOW))) == 5


@pytest.mark.parametrize(
    ("strategy", "setting"),
    [("forgetting", "ASSAY_SNAPSHOTS"), ("variability", "ASSAY_SNAPSHOTS"), ("dropout-bald", "ASSAY_DROPOUT_PASSES")],
)
def test_scores_that_are_off_are_named_with_what_turns_them_on(session: Session, strategy: str, setting: str) -> None:
    scored_pool(session, 30)
    set_policy(session, strategy=strategy)
    with pytest.raises(UnusableError, match=rf"en-US: set {setting} and run `assay evaluation train"):
        selection.read(session, "en-US", NOW)


def test_features_that_the_model_does_not_give_are_named(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="k-center")
    session.execute(text("DELETE FROM features"))
    with pytest.raises(UnusableError, match=r"^strategy k-center looks at 'embedding', which model fake-1 does not"):
        selection.read(session, "en-US", NOW)


@pytest.mark.parametrize(
    ("strategy", "lacking"),
    [("bald", update(Score).values(mutual_information=None)), ("k-center", text("DELETE FROM features"))],
)
def test_the_advice_is_for_the_domain_whose_round_it_is(session: Session, strategy: str, lacking: Any) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="entropy", budget=6)
    set_policy(session, domain="music", budget=4, strategy=strategy)
    music = sum(row.domain == "music" for row in selection.read(session, "en-US", NOW).rows)
    session.execute(lacking)
    with pytest.raises(
        UnusableError,
        match=rf"^strategy {strategy} .* for {music} eligible .*"
        r"`assay policy set --locale en-US --domain music --strategy entropy`$",
    ):
        selection.read(session, "en-US", NOW)
    set_policy(session, domain="music", strategy="entropy")
    assert len(selection.choose(selection.read(session, "en-US", NOW))) == 10


@pytest.mark.parametrize(
    ("strategy", "name", "lacking"),
    [
        ("bald", "mutual_information", update(Score).values(mutual_information=None)),
        ("k-center", "embedding", text("DELETE FROM features")),
    ],
)
def test_a_replay_is_not_told_to_train(session: Session, strategy: str, name: str, lacking: Any) -> None:
    known_pool(session, 40)
    set_policy(session, strategy=strategy, budget=6)
    row = new_round(session)
    session.execute(lacking)
    with pytest.raises(
        UnusableError,
        match=rf"^strategy {strategy} looks at '{name}', which model fake-1 no longer gives for {row.frame_size} "
        rf"utterances of en-US: round {row.id} cannot be replayed unless they come back from a backup; "
        r"a model trained now gives others$",
    ):
        selection.replay(session, row.id)


def test_a_frame_of_all_rows_takes_the_features_as_they_are(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="k-means", budget=6)
    snapshot = selection.read(session, "en-US", NOW)
    frame = to_frame(snapshot, range(len(snapshot.rows)), snapshot.features)
    assert all(frame.features[name] is matrix for name, matrix in snapshot.features.items())
    part = to_frame(snapshot, [1, 3], snapshot.features)
    assert all((part.features[name] == matrix[[1, 3]]).all() for name, matrix in snapshot.features.items())


def long(*words: str) -> str:
    return " ".join(["please set the kitchen radio to station number", *words])


def test_of_near_duplicates_the_oldest_enters(session: Session) -> None:
    scored_pool(session, 8, nlu_score=0.5)
    ids = [row.id for row in selection.read(session, "en-US", NOW).rows]
    texts = [
        long("one", "now"), long("now", "One!"), long("one", "now", "thanks"), long("two", "now"),
        "明天北京天气怎么样", "明天北京天气怎么样？", "stop", "Stop.",
    ]  # fmt: skip
    for id_, wording in zip(ids, texts, strict=True):
        session.execute(text("UPDATE utterances SET text = :text WHERE id = :id"), {"text": wording, "id": id_})
    left = [row.id for row in selection.read(session, "en-US", NOW).rows]
    assert left == [ids[0], ids[3], ids[4], ids[6]]


@pytest.mark.parametrize("verdict", ["accept", "reject"])
def test_near_duplicates_of_what_people_labelled_never_enter(session: Session, verdict: str) -> None:
    scored_pool(session, 3, nlu_score=0.5)
    ids = [row.id for row in selection.read(session, "en-US", NOW).rows]
    session.execute(text("UPDATE utterances SET text = :t WHERE id = :id"), {"t": long("one", "now"), "id": ids[1]})
    label = {"domain": "music", "intent": "music_play"} if verdict == "accept" else {}

    def gold(locale: str, **columns: Any) -> None:
        [row] = factories.utterances(
            session,
            1,
            source=f"gold {locale} {columns}",
            partition="test",
            locale=locale,
            text=long("now", "one", "thanks"),
        )
        session.add(
            AnnotationRow(
                utterance_id=row.id, revision=1, instance="file", verdict=verdict, annotator="", created_at=NOW,
                updated_at=NOW, **label, **columns,
            )
        )  # fmt: skip
        session.flush()

    gold("sw-KE")
    gold("en-US", withdrawn_at=NOW)
    assert [row.id for row in selection.read(session, "en-US", NOW).rows] == ids
    gold("en-US")
    assert [row.id for row in selection.read(session, "en-US", NOW).rows] == [ids[0], ids[2]]


def test_no_two_items_of_a_round_are_near_duplicates(session: Session) -> None:
    scored_pool(session, 60, nlu_score=0.5)
    rng = np.random.default_rng(1)
    for row in selection.read(session, "en-US", NOW).rows:
        words = [f"w{number}" for number in rng.permutation(12)[: rng.integers(9, 12)]]
        session.execute(
            text("UPDATE utterances SET text = :text WHERE id = :id"), {"text": " ".join(words), "id": row.id}
        )
    set_policy(session, budget=60)
    round_ = new_round(session)
    sets = [set(item["text"].split()) for item in selections.shown_items(session, round_.id)]
    assert 5 < len(sets) < 60
    assert all(len(a & b) < 0.9 * len(a | b) for number, a in enumerate(sets) for b in sets[:number])

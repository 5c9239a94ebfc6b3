from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import AnnotationRow, SelectionItemRow, SelectionRow
from db.repositories import selections
from plugin.cli import selection as selection_cli
from plugin.cli.errors import CliError
from plugin.records import Policy
from plugin.services import policies, scoring, selection
from tests import factories
from tests.fakes.scorer import FakeScorer

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def scored_pool(session: Session, count: int = 120, **changed: Any) -> None:
    factories.utterances(session, count, **changed)
    factories.champion(session)
    [batch] = scoring.read_batches(session, 0, 2**62)
    scoring.write(session, scoring.compute(batch, FakeScorer()))


def set_policy(session: Session, locale: str = "en-US", domain: str = "*", **values: Any) -> None:
    policies.change(session, locale, domain, values, changed_by="test", comment="")


def new_round(session: Session) -> SelectionRow:
    snapshot = selection.read(session, "en-US", NOW)
    return selection.write(session, snapshot, selection.choose(snapshot))


def annotate(session: Session, utterance_id: int) -> None:
    session.add(
        AnnotationRow(
            utterance_id=utterance_id, revision=1, instance="main", annotation_id=utterance_id, task_id=1,
            verdict="reject", annotator="ann", created_at=NOW, updated_at=NOW,
        )
    )  # fmt: skip
    session.flush()


def test_only_what_the_policy_lets_in_is_chosen(session: Session) -> None:
    scored_pool(session, 60)
    factories.utterances(session, 20, source="defects", defect=True)
    snapshot = selection.read(session, "en-US", NOW)
    assert snapshot.rows
    assert all(row.nlu_score is not None and 0.30 <= row.nlu_score <= 0.85 for row in snapshot.rows)
    assert not any(row.defect for row in snapshot.rows)


@pytest.mark.parametrize(("low", "high"), [(0.30, 0.85), (0.85, 0.85), (0.1, 0.3), (0.123456789, 0.7)])
def test_the_band_is_closed(session: Session, low: float, high: float) -> None:
    """Scores are stored in single precision, in which 0.85 is more than in double and 0.1234... less."""
    scored_pool(session, 8, nlu_score=0.5)
    set_policy(session, nlu_low=low, nlu_high=high)
    ids = session.scalars(text("SELECT id FROM utterances ORDER BY id")).all()
    inside = {float(np.float32(low)), low, float(np.float32(high)), high}
    outside = {
        float(np.nextafter(np.float32(low), np.float32(0))),
        float(np.nextafter(np.float32(high), np.float32(1))),
    }
    session.execute(text("UPDATE utterances SET nlu_score = 0.99"))
    for id_, score in zip(ids, [*inside, *outside], strict=False):
        session.execute(text("UPDATE utterances SET nlu_score = :score WHERE id = :id"), {"score": score, "id": id_})
    assert [row.id for row in selection.read(session, "en-US", NOW).rows] == ids[: len(inside)]


def test_reviewed_utterances_and_the_same_text_never_come_back(session: Session) -> None:
    scored_pool(session, 40, nlu_score=0.5)
    first = selection.read(session, "en-US", NOW).rows[0]
    twin = selection.read(session, "en-US", NOW).rows[1]
    session.execute(text(f"UPDATE utterances SET text = upper('utterance number 0') WHERE id = {twin.id}"))
    annotate(session, first.id)
    left = {row.id for row in selection.read(session, "en-US", NOW).rows}
    assert not left & {first.id, twin.id}
    assert len(left) == 38


def test_a_text_enters_once_and_one_of_gold_data_never(session: Session) -> None:
    scored_pool(session, 40, nlu_score=0.5)
    ids = [row.id for row in selection.read(session, "en-US", NOW).rows]
    session.execute(text("UPDATE utterances SET text = 'again', defect = true WHERE id = :id"), {"id": ids[3]})
    session.execute(text("UPDATE utterances SET text = 'Again' WHERE id = ANY(:ids)"), {"ids": ids[4:30]})
    [gold] = factories.utterances(session, 1, source="gold", partition="test", text="UTTERANCE number 0")
    session.add(
        AnnotationRow(
            utterance_id=gold.id, revision=1, instance="file", verdict="accept", domain="music", intent="play",
            annotator="", created_at=NOW, updated_at=NOW,
        )
    )  # fmt: skip
    session.flush()
    left = [row.id for row in selection.read(session, "en-US", NOW).rows]
    assert left == [*ids[1:3], ids[4], *ids[30:]]


def test_a_round_is_stored_whole_and_replays_byte_for_byte(session: Session) -> None:
    scored_pool(session)
    set_policy(session, strategy="el2n", hard_share=0.1, budget=30, seed=7)
    row = new_round(session)
    items = selections.items(session, row.id)
    assert len(items) == 30
    assert {arm for item in items for arm in item.arms} == {"strategy", "control"}
    assert [item.rank for item in items if item.domain == "music"] == list(
        range(1, sum(item.domain == "music" for item in items) + 1)
    )

    # The world goes on: a record is revised, another reviewed, the policy changes.
    revised = items[0].utterance_id
    session.execute(
        text(
            "INSERT INTO utterance_revisions (utterance_id, revision, content_hash, content)"
            " SELECT id, revision, content_hash, jsonb_build_object('domain', domain) FROM utterances WHERE id = :id"
        ),
        {"id": revised},
    )
    session.execute(
        text("UPDATE utterances SET revision = 2, domain = 'weather', nlu_score = 0 WHERE id = :id"), {"id": revised}
    )
    annotate(session, items[1].utterance_id)
    set_policy(session, strategy="random", budget=5)

    stored, snapshot = selection.replay(session, row.id)
    assert selection.items_hash(selection.choose(snapshot)) == stored.items_hash
    assert selection.items_hash(selection.choose(snapshot)[:-1]) != stored.items_hash


def test_items_are_shown_with_their_records(session: Session) -> None:
    scored_pool(session)
    row = new_round(session)
    shown = selections.shown_items(session, row.id, "music")
    assert [item["utterance_id"] for item in shown] == [
        item.utterance_id for item in selections.items(session, row.id, "music")
    ]
    assert {item["source"] for item in shown} == {"log"}
    assert all(item["text"].startswith("utterance number") for item in shown)


def test_a_new_round_supersedes_the_old_one(session: Session) -> None:
    scored_pool(session)
    first, second = new_round(session), new_round(session)
    session.refresh(first)
    assert first.superseded_at is not None
    current = selections.current(session, "en-US")
    assert current is not None
    assert current.id == second.id
    assert first.items_hash == second.items_hash


def test_a_domain_with_a_budget_of_its_own_is_a_round_of_its_own(session: Session) -> None:
    scored_pool(session)
    set_policy(session, budget=20)
    set_policy(session, domain="music", budget=4, strategy="random")
    row = new_round(session)
    items = selections.items(session, row.id)
    assert sum(item.domain == "music" for item in items) == 4
    assert len(items) == 24
    assert set(row.policy) == {"*", "music"}


def test_without_a_model_the_error_says_what_to_do(session: Session) -> None:
    factories.utterances(session, 3)
    with pytest.raises(LookupError, match="assay evaluation train --locale en-US"):
        selection.read(session, "en-US", NOW)


def age(session: Session, minutes: int) -> None:
    """As if everything had come in that long ago."""
    session.execute(text(f"UPDATE utterances SET ingested_at = ingested_at - interval '{minutes} minutes'"))


def test_a_partly_scored_pool_is_not_selected_from(session: Session) -> None:
    scored_pool(session, 40)
    factories.utterances(session, 3, source="late")
    factories.utterances(session, 5, source="swahili", locale="sw-KE")
    factories.utterances(session, 7, source="gold", partition="test")
    age(session, minutes=60)
    with pytest.raises(
        selection.UnscoredError,
        match=r"^3 utterances of en-US .* fake-1: run `assay scoring backfill --locale en-US` first$",
    ):
        selection.read(session, "en-US", NOW)


def test_a_promotion_stops_selection_until_the_pool_is_scored_anew(session: Session) -> None:
    scored_pool(session, 40)
    age(session, minutes=60)
    assert selection.read(session, "en-US", NOW).rows
    factories.champion(session, name="fake-2")
    with pytest.raises(selection.UnscoredError, match=r"40 utterances of en-US .* fake-2"):
        selection.read(session, "en-US", NOW)


def test_a_live_stream_does_not_stop_selection(session: Session) -> None:
    scored_pool(session, 40, nlu_score=0.5)
    age(session, minutes=60)
    factories.utterances(session, 3, source="live")
    assert len(selection.read(session, "en-US", NOW).rows) == 40


def test_the_command_says_in_one_line_that_the_pool_is_not_scored(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.utterances(session, 3)
    factories.champion(session)
    age(session, minutes=60)
    wiring = SimpleNamespace(transaction=lambda: nullcontext(session), instance="main")
    monkeypatch.setattr(selection_cli, "get_wiring", lambda: wiring)
    with pytest.raises(CliError) as raised:
        selection_cli.refresh("en-US", publish=False)
    assert "3 utterances of en-US" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_policies_inherit_and_keep_their_history(session: Session) -> None:
    set_policy(session, locale="*", budget=100)
    set_policy(session, control_share=0.5)
    set_policy(session, domain="music", nlu_low=0.1, nlu_high=0.2)
    resolved = policies.resolve(session, "en-US")
    assert resolved["*"] == Policy(budget=100, control_share=0.5)
    assert resolved["music"] == Policy(budget=100, control_share=0.5, nlu_band=(0.1, 0.2))
    policies.change(session, "en-US", "*", {}, preset="paper", changed_by="me", comment="as published")
    paper = policies.resolve(session, "en-US")["*"]
    assert (paper.strategy, paper.hard_share, paper.train_on_weak) == ("el2n", 0.10, True)
    assert policies.from_json(policies.to_json(paper)) == paper


@pytest.mark.parametrize(
    ("domain", "values", "message"),
    [
        ("*", {"strategy": "psychic"}, "psychic.*random, entropy, el2n"),
        ("*", {"budget": 0}, "budget must be at least 1"),
        ("*", {"nlu_low": 0.9, "nlu_high": 0.1}, "nlu_band"),
        ("*", {"colour": "red"}, "has no colour"),
        ("music", {"strategy": "random"}, "budget of its own"),
    ],
)
def test_a_bad_policy_is_refused_by_name(session: Session, domain: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        set_policy(session, domain=domain, **values)


def test_the_database_refuses_an_impossible_inclusion_probability(session: Session) -> None:
    scored_pool(session)
    new_round(session)
    assert session.scalars(select(SelectionItemRow)).first() is not None
    with pytest.raises(IntegrityError):
        session.execute(text("UPDATE selection_items SET inclusion_probability = 0"))

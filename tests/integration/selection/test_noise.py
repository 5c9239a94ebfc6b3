"""The noise arm through the database: who is suspected, what is stored, and its replay."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import Feature, PolicyRow, SelectionItemRow
from db.repositories import policies as policy_rows
from db.repositories import selections
from plugin.cli import policy as policy_cli
from plugin.cli import selection as selection_cli
from plugin.quality.noise import suspicion
from plugin.quality.selection import LABEL_ERROR, frame_hash
from plugin.records import Policy, Strategy
from plugin.services import noise, policies, selection
from plugin.services.policies import ANY
from plugin.services.selection import UnusableError, to_frame
from tests import factories
from tests.integration.selection.test_rounds import NOW, annotate, new_round, set_policy
from tests.integration.selection.test_strategies import known_pool


def suspicious_pool(session: Session, count: int = 90, wrong: int = 9) -> set[int]:
    """The model agrees with all records but a few, whose ids are returned."""
    known_pool(session, count)
    rng = np.random.default_rng(0)
    rows = selection.read(session, "en-US", NOW).rows
    odd = {int(id_) for id_ in rng.choice([row.id for row in rows], wrong, replace=False)}
    for row in rows:
        number = factories.DOMAINS.index(row.domain)
        probs = np.full(3, 0.05)
        probs[(number + 1) % 3 if row.id in odd else number] = 0.9
        probs = (probs + rng.uniform(0, 0.02, 3)) / (probs.sum() + 0.03)
        probs[2] = 1.0 - probs[:2].sum()
        vector = probs.astype("<f2").tobytes()
        session.execute(update(Feature).where(Feature.utterance_id == row.id).values(domain_probs=vector))
    return odd


def stored_items(session: Session, selection_id: int, arm: str) -> set[int]:
    items = selections.items(session, selection_id)
    return {item.utterance_id for item in items if arm in item.arms}


@pytest.mark.parametrize("strategy", ["random", "entropy", "el2n", "k-means"])
@pytest.mark.parametrize("hard_share", [0.3, 1.0])
def test_a_round_with_a_noise_arm_is_stored_and_replays_byte_for_byte(
    session: Session, strategy: str, hard_share: float
) -> None:
    wrong = suspicious_pool(session)
    set_policy(session, strategy=strategy, hard_share=hard_share, budget=40, noise_share=0.2, seed=3)
    row = new_round(session)
    assert len(selections.items(session, row.id)) == 40
    found = stored_items(session, row.id, "noise")
    assert len(found) == 8
    assert found < wrong
    assert len(stored_items(session, row.id, "control")) == 8
    certain = [i.inclusion_probability for i in selections.items(session, row.id) if i.utterance_id in found]
    assert set(certain) == {1.0}

    # The world goes on: a suspect is revised to another domain, another is reviewed, and the policy changes.
    revised, reviewed = sorted(found)[:2]
    session.execute(
        text(
            "INSERT INTO utterance_revisions (utterance_id, revision, content_hash, content)"
            " SELECT id, revision, content_hash, jsonb_build_object('domain', domain) FROM utterances WHERE id = :id"
        ),
        {"id": revised},
    )
    session.execute(text("UPDATE utterances SET revision = 2, domain = 'audio' WHERE id = :id"), {"id": revised})
    annotate(session, reviewed)
    set_policy(session, noise_share=0.0, budget=5)

    stored, snapshot = selection.replay(session, row.id)
    assert selection.items_hash(selection.choose(snapshot)) == stored.items_hash
    assert frame_hash(to_frame(snapshot, range(len(snapshot.rows)), snapshot.features)) == stored.frame_hash


def test_suspicion_is_that_of_the_whole_frame_by_the_models_vocabulary(session: Session) -> None:
    suspicious_pool(session)
    set_policy(session, strategy="entropy", budget=10)
    set_policy(session, domain="music", budget=6, strategy="entropy", noise_share=0.5)
    unknown = selection.read(session, "en-US", NOW).rows[0].id
    session.execute(text("UPDATE utterances SET domain = 'chess' WHERE id = :id"), {"id": unknown})
    snapshot = selection.read(session, "en-US", NOW)
    assert snapshot.label_error is not None
    vectors = {f.utterance_id: np.frombuffer(f.domain_probs, "<f2") for f in session.scalars(select(Feature))}
    probs = np.array([vectors[row.id] for row in snapshot.rows])
    labels = [factories.DOMAINS.index(row.domain) if row.domain != "chess" else -1 for row in snapshot.rows]
    np.testing.assert_array_equal(snapshot.label_error, suspicion(probs, labels))
    place = [row.id for row in snapshot.rows].index(unknown)
    assert snapshot.label_error[place] == 0.0
    # Only the round whose policy asks has the arm.
    items = selection.choose(snapshot)
    assert {item.domain for item in items if "noise" in item.arms} == {"music"}


def test_without_a_share_nothing_is_read_for_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    suspicious_pool(session, 40)
    set_policy(session, strategy="entropy", budget=10)
    monkeypatch.setattr(noise, "label_errors", lambda *_: pytest.fail("nobody asked"))
    snapshot = selection.read(session, "en-US", NOW)
    assert snapshot.label_error is None
    assert LABEL_ERROR not in to_frame(snapshot, range(len(snapshot.rows)), ()).scores


def test_predictions_that_the_model_does_not_give_are_named_with_what_to_do(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="entropy", noise_share=0.1)
    eligible = [row.id for row in selection.read(session, "en-US", NOW).rows]
    session.execute(text("DELETE FROM features WHERE utterance_id = ANY(:ids)"), {"ids": eligible[:7]})
    with pytest.raises(
        UnusableError,
        match=r"^the noise share looks at 'domain_probs', which model fake-1 does not give for 7 eligible "
        r"utterances of en-US: run `assay evaluation train --locale en-US` for a model that does, or turn it off: "
        r"`assay policy set --locale en-US --noise-share 0`$",
    ):
        selection.read(session, "en-US", NOW)


def test_the_noise_share_of_a_domains_own_round_is_turned_off_there(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="entropy")
    set_policy(session, domain="music", budget=4, noise_share=0.2)
    session.execute(text("DELETE FROM features"))
    with pytest.raises(UnusableError, match=r"`assay policy set --locale en-US --domain music --noise-share 0`$"):
        selection.read(session, "en-US", NOW)
    set_policy(session, domain="music", noise_share=0.0)
    assert selection.choose(selection.read(session, "en-US", NOW))


def test_a_replay_without_predictions_is_told_what_it_would_take(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="entropy", noise_share=0.1, budget=10)
    row = new_round(session)
    session.execute(text("DELETE FROM features"))
    with pytest.raises(
        UnusableError, match=rf"^the noise share looks at 'domain_probs', .* round {row.id} cannot be replayed unless"
    ):
        selection.replay(session, row.id)


def test_what_noise_alone_chose_is_no_evidence_for_the_strategy(session: Session) -> None:
    suspicious_pool(session)
    set_policy(session, strategy="random", budget=40, noise_share=0.2, control_share=0.0)
    row = new_round(session)
    for utterance_id in stored_items(session, row.id, "noise"):
        annotate(session, utterance_id)
    assert selections.outcomes(session, "en-US", ANY, ANY) == []
    annotate(session, next(iter(stored_items(session, row.id, "strategy"))))
    assert selections.outcomes(session, "en-US", ANY, ANY) == [("random", 1, 0)]


def test_what_a_ranking_shares_with_the_noise_arm_is_no_evidence_either(session: Session) -> None:
    suspicious_pool(session)
    set_policy(session, strategy="entropy", budget=80, noise_share=0.1, control_share=0.0)
    row = new_round(session)
    both = stored_items(session, row.id, "noise") & stored_items(session, row.id, "strategy")
    alone = stored_items(session, row.id, "strategy") - both
    assert both
    for utterance_id in both | alone:
        annotate(session, utterance_id)
    assert selections.outcomes(session, "en-US", ANY, ANY) == [("entropy", len(alone), 0)]


def test_the_share_is_inherited_kept_in_the_history_and_taken_back(session: Session) -> None:
    set_policy(session, locale="*", noise_share=0.1)
    assert policies.resolve(session, "en-US")["*"] == Policy(noise_share=0.1)
    set_policy(session, noise_share=0.3)
    set_policy(session, noise_share=None, budget=9)
    assert policies.resolve(session, "en-US")["*"] == Policy(noise_share=0.1, budget=9)
    changes = policy_rows.changes(session, "en-US", "*")
    assert [(change.before, change.after) for change in changes] == [
        ({"noise_share": 0.3}, {"budget": 9}),
        (None, {"noise_share": 0.3}),
    ]


def test_stored_policies_of_before_there_was_a_share_have_none() -> None:
    stored = policies.to_json(Policy(strategy=Strategy.EL2N, noise_share=0.2))
    assert policies.from_json(stored) == Policy(strategy=Strategy.EL2N, noise_share=0.2)
    del stored["noise_share"]
    assert policies.from_json(stored) == Policy(strategy=Strategy.EL2N)


def test_a_share_out_of_range_is_refused_by_name_and_by_the_database(session: Session) -> None:
    with pytest.raises(ValueError, match=r"noise_share must lie in \[0, 0.5\], not 0.6"):
        set_policy(session, noise_share=0.6)
    with pytest.raises(ValueError, match="noise_share for domain 'music' alone needs a budget of its own"):
        set_policy(session, domain="music", noise_share=0.1)
    session.add(PolicyRow(locale="en-US", domain="*", noise_share=0.6))
    with pytest.raises(IntegrityError, match="noise_share_range"):
        session.flush()


def test_the_commands_set_the_share_and_count_the_arm(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suspicious_pool(session)
    wiring: Any = SimpleNamespace(transaction=lambda: nullcontext(session), instance="main")
    monkeypatch.setattr(policy_cli, "get_wiring", lambda: wiring)
    policy_cli.set_("en-US", budget=40, noise_share=0.2)
    assert "en-US *: budget=40, noise_share=0.2" in capsys.readouterr().out
    monkeypatch.setattr(selection_cli, "get_wiring", lambda: wiring)
    selection_cli.refresh("en-US", publish=False)
    shown = capsys.readouterr().out
    assert "noise" in shown
    row = selections.current(session, "en-US")
    assert row is not None
    items = session.scalars(select(SelectionItemRow).where(SelectionItemRow.selection_id == row.id)).all()
    counts = [
        int(line.split()[-1])
        for line in shown.splitlines()
        if line.split()[:1] and line.split()[0] in factories.DOMAINS
    ]
    assert sum(counts) == sum("noise" in item.arms for item in items) == 8

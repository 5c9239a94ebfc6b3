"""`columns` is what production writes and the benchmark ranks by: the stored row holds exactly its numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Score
from db.repositories.scores import SCORE_COLUMNS
from plugin.quality import scores
from plugin.services import scoring
from tests import factories
from tests.fakes.scorer import FakeScorer
from tests.integration.scoring.conftest import Scorers

ScoreAll = Callable[[], int]
OPTIONAL = {"dropout_mutual_information", "label_confidence", "variability", "forgetting"}
EVERYTHING = FakeScorer(snapshots=4, dropout_passes=2)
TEXTS = [f"text {number}" for number in range(40)]


@pytest.mark.parametrize("scorer", [FakeScorer(), EVERYTHING], ids=["usual", "everything on"])
def test_the_stored_scores_are_the_columns(
    session: Session, score_all: ScoreAll, scorers: Scorers, scorer: FakeScorer
) -> None:
    scorers.usual = scorer
    rows = factories.utterances(session, 5)
    factories.champion(session)
    score_all()
    labels = [factories.DOMAINS.index(row.domain or "") for row in rows]
    found = scoring.columns(scorer.predict([row.text for row in rows], ["en-US"] * 5), labels)
    assert OPTIONAL & found.keys() == (OPTIONAL if scorer is EVERYTHING else set())
    for number, row in enumerate(rows):
        stored = session.scalars(select(Score).where(Score.utterance_id == row.id)).one()
        for name, values in found.items():
            assert getattr(stored, name) == pytest.approx(float(values[number]), abs=1e-6), name
        for name in OPTIONAL - found.keys():
            assert getattr(stored, name) is None, name


def test_every_column_of_numbers_is_written_and_shown() -> None:
    found = scoring.columns(EVERYTHING.predict(TEXTS, ["en-US"] * 40), [0] * 40)
    assert found.keys() == set(scoring.NUMBERS)
    assert found.keys() <= SCORE_COLUMNS.keys() <= {column.name for column in Score.__table__.columns}


def test_a_record_without_hypothesis_has_no_score_of_its_label(
    session: Session, score_all: ScoreAll, scorers: Scorers
) -> None:
    scorers.usual = EVERYTHING
    factories.utterances(session, 1, domain=None, intent=None)
    factories.champion(session)
    score_all()
    stored = session.scalars(select(Score)).one()
    assert {getattr(stored, name) for name in scoring.OF_LABEL if name != "el2n_replicates"} == {None}
    assert stored.el2n_replicates is None
    assert stored.dropout_mutual_information is not None
    assert stored.joint_uncertainty is not None


def test_el2n_is_the_three_line_formula_of_the_early_checkpoint() -> None:
    """As the data_diet code has it, in float64; and the spread is that of its replicates."""
    prediction = EVERYTHING.predict(TEXTS, ["en-US"] * 40)
    labels = np.arange(40) % 3
    errors = prediction.early_domain_probs.astype(np.float64) - np.eye(3)[labels]  # (R, N, D)
    per_replicate = np.linalg.norm(errors, ord=2, axis=-1)
    found = scoring.columns(prediction, labels)
    np.testing.assert_allclose(found["el2n"], per_replicate.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["el2n_spread"], per_replicate.std(0), rtol=1e-12)


def test_joint_uncertainty_adds_up_its_columns() -> None:
    found = scoring.columns(EVERYTHING.predict(TEXTS, ["en-US"] * 40), [0] * 40)
    parts = found["entropy"] + found["intent_entropy"] + found["token_entropy_sum"]
    np.testing.assert_allclose(found["joint_uncertainty"], parts, rtol=1e-6)


def test_snapshots_are_judged_by_the_label() -> None:
    prediction = EVERYTHING.predict(TEXTS, ["en-US"] * 40)
    labels = np.arange(40) % 4 - 1  # one in four outside the vocabulary
    found = scoring.columns(prediction, labels)
    assert prediction.snapshot_domain_probs is not None
    of_label = prediction.snapshot_domain_probs.astype(np.float64)[:, np.arange(40), labels] * (labels >= 0)
    np.testing.assert_allclose(found["label_confidence"], of_label.mean(0), atol=1e-12)
    np.testing.assert_allclose(found["variability"], of_label.std(0), atol=1e-12)
    assert found["forgetting"].tolist() == scores.forgetting(prediction.snapshot_domain_probs, labels).tolist()
    assert (found["forgetting"][labels < 0] == 4).all()


def test_columns_take_labels_as_numbers_and_refuse_others() -> None:
    prediction = FakeScorer().predict(["a", "b"], ["en-US"] * 2)
    assert scoring.columns(prediction, np.array([0, -1]))["el2n"].shape == (2,)
    with pytest.raises(ValueError, match="labels"):
        scoring.columns(prediction, [0, 3])

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import Feature, ModelVersion, Score
from plugin.services import scoring
from tests import factories
from tests.fakes.scorer import FakeScorer
from tests.integration.scoring.conftest import Scorers

ScoreAll = Callable[[], int]


def test_every_number_of_a_row_follows_from_its_definition(session: Session, score_all: ScoreAll) -> None:
    rows = factories.utterances(session, 7)
    factories.champion(session)
    assert score_all() == 7

    scorer = FakeScorer()
    prediction = scorer.predict([row.text for row in rows], ["en-US"] * 7)
    for number, row in enumerate(rows):
        score = session.scalars(select(Score).where(Score.utterance_id == row.id)).one()
        mean = prediction.domain_probs[:, number].astype(np.float64).mean(axis=0)
        assert score.entropy == pytest.approx(-sum(p * math.log(p) for p in mean), abs=1e-5)
        target = np.eye(3)[factories.DOMAINS.index(row.domain or "")]
        norms = [float(np.linalg.norm(p - target)) for p in prediction.early_domain_probs[:, number]]
        assert score.el2n_replicates == pytest.approx(norms, abs=1e-5)
        assert score.el2n == pytest.approx(np.mean(norms), abs=1e-5)
        assert score.el2n_spread == pytest.approx(np.std(norms), abs=1e-5)
        assert score.predicted_domain == factories.DOMAINS[int(mean.argmax())]
        feature = session.scalars(select(Feature).where(Feature.utterance_id == row.id)).one()
        stored = np.frombuffer(feature.domain_probs, dtype="<f2")
        assert stored == pytest.approx(mean, abs=1e-3)


def test_writing_the_same_batch_twice_keeps_the_first(session: Session) -> None:
    factories.utterances(session, 3)
    factories.champion(session)
    [batch] = scoring.read_batches(session, 0, 2**62)
    scored = scoring.compute(batch, FakeScorer())
    assert scoring.write(session, scored) == 3
    assert scoring.write(session, scored) == 0
    assert session.scalar(select(func.count()).select_from(Score)) == 3


def test_a_new_revision_and_a_new_model_are_new_rows(session: Session, score_all: ScoreAll) -> None:
    rows = factories.utterances(session, 4)
    factories.champion(session)
    score_all()
    rows[0].revision = 2
    rows[0].text = "changed"
    session.flush()
    assert score_all() == 1
    factories.champion(session, name="fake-2")
    assert score_all() == 4
    assert session.scalar(select(func.count()).select_from(Score)) == 9


def test_a_record_without_hypothesis_has_no_el2n_and_says_why(session: Session, score_all: ScoreAll) -> None:
    factories.utterances(session, 1, domain=None, intent=None)
    factories.champion(session)
    score_all()
    score = session.scalars(select(Score)).one()
    assert score.el2n is None
    assert score.el2n_missing == scoring.NO_HYPOTHESIS
    assert (score.el2n_spread, score.el2n_replicates) == (None, None)
    assert score.entropy > 0


def test_an_unknown_domain_is_scored_by_the_formula_for_labels_outside_the_vocabulary(
    session: Session, score_all: ScoreAll
) -> None:
    [row] = factories.utterances(session, 1, domain="cooking", intent="cooking_recipe")
    factories.champion(session)
    score_all()
    score = session.scalars(select(Score)).one()
    early = FakeScorer().predict([row.text], ["en-US"]).early_domain_probs[:, 0].astype(np.float64)
    expected = np.minimum(np.sqrt(1 + (early**2).sum(axis=1)), math.sqrt(2))
    assert score.el2n == pytest.approx(expected.mean(), abs=1e-5)


def test_a_sources_own_scores_are_a_model_version_of_kind_external(session: Session, score_all: ScoreAll) -> None:
    factories.utterances(session, 2, domain_scores={"music": 0.5, "audio": 0.25})
    assert score_all() == 2
    assert score_all() == 0
    version = session.scalars(select(ModelVersion)).one()
    assert (version.kind, version.source, version.locales) == ("external", "log", ["en-US"])
    score = session.scalars(select(Score)).first()
    assert score is not None
    expected = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    assert score.entropy == pytest.approx(expected, abs=1e-6)
    assert score.margin == pytest.approx(0.25, abs=1e-6)
    assert score.el2n is None
    assert score.el2n_missing == scoring.NO_REPLICATES
    assert score.mutual_information is score.token_entropy_sum is score.joint_uncertainty is score.forgetting is None
    assert score.predicted_domain == "music"


def test_the_rest_of_a_top_n_list_is_never_what_was_predicted(session: Session, score_all: ScoreAll) -> None:
    factories.utterances(session, 1, domain_scores={"music": 0.25, "audio": 0.125})
    assert score_all() == 1
    assert session.scalars(select(Score.predicted_domain)).one() == "music"


def test_the_sweep_finds_what_was_never_sent_and_leaves_fresh_work_to_its_sender(session: Session) -> None:
    rows = factories.utterances(session, 5)
    factories.champion(session)
    assert scoring.unsent(session, 2) == []
    ranges = scoring.unsent(session, 2, older_than=timedelta(0))
    ids = [row.id for row in rows]
    assert ranges == [(ids[0], ids[1]), (ids[2], ids[3]), (ids[4], ids[4])]


def test_only_the_pool_and_the_models_locales_are_scored(session: Session, score_all: ScoreAll) -> None:
    factories.utterances(session, 2, partition="test", source="gold")
    factories.utterances(session, 2, locale="sw-KE", source="swahili")
    factories.champion(session)
    assert score_all() == 0


OUT_OF_RANGE = [
    "entropy = -0.1", "el2n = 1.5", "margin = 1.1", "el2n = NULL", "dropout_mutual_information = -0.1",
    "intent_entropy = -0.1", "token_entropy_mean = -0.1", "token_entropy_sum = -0.1", "token_entropy_max = -0.1",
    "sequence_margin = 1.1", "sequence_margin = -0.1", "joint_uncertainty = -0.1", "confidence = 1.1",
    "label_confidence = 1.1", "variability = 0.6", "forgetting = -1", "forgetting = NULL", "variability = NULL",
]  # fmt: skip


@pytest.mark.parametrize("column", OUT_OF_RANGE)
def test_the_database_refuses_scores_out_of_range(
    session: Session, score_all: ScoreAll, scorers: Scorers, column: str
) -> None:
    scorers.usual = FakeScorer(snapshots=3, dropout_passes=2)
    factories.utterances(session, 1)
    factories.champion(session)
    score_all()
    assert session.scalars(select(Score)).one().forgetting is not None
    with pytest.raises(IntegrityError):
        session.execute(text(f"UPDATE scores SET {column}"))


def test_scores_of_an_utterance_are_shown_with_each_replicate(session: Session, score_all: ScoreAll) -> None:
    factories.utterances(session, 1)
    factories.champion(session)
    score_all()
    [shown] = scoring.of_utterance(session, "u0")
    assert shown["model_version"] == "fake-1"
    assert len(shown["el2n_replicates"]) == 5
    assert (shown["el2n_variant"], shown["el2n_epoch"]) == ("trusted", 2)
    assert scoring.of_utterance(session, "nobody") == []

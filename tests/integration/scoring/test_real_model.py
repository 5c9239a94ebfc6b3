"""From the settings to the stored row, with the torch model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import ModelVersion, Score
from db.repositories.scores import Unscored
from plugin import wiring_ml
from plugin.records import Hypothesis, TrainingExample
from plugin.services import scoring
from plugin.services.ports import Scorer
from plugin.settings import Settings
from tests import factories

OPTIONAL = ("dropout_mutual_information", "label_confidence", "variability", "forgetting")
WORDS = {"music": "play a song", "weather": "will it rain", "audio": "turn it louder"}
EXAMPLES = [
    TrainingExample(f"{domain}{number}", "en-US", f"{words} {number}", Hypothesis(domain, f"{domain}_do"))
    for domain, words in WORDS.items()
    for number in range(8)
]


def trained(tmp_path: Path, **settings: int) -> Scorer:
    """Trained, saved and loaded again, as production has it."""
    given = Settings(home=tmp_path, replicates=2, torch_threads=1, device="cpu", **settings)  # type: ignore[arg-type]
    ours = wiring_ml.trainer(given).train(EXAMPLES, [], seed=0)
    return wiring_ml.load_scorer(tmp_path / "model", ours.save(tmp_path / "model"))


def score(session: Session, scorer: Scorer) -> list[Score]:
    version: ModelVersion = factories.champion(session)
    rows = factories.utterances(session, 6)
    unscored = [Unscored(*(getattr(row, name) for name in Unscored._fields)) for row in rows]
    scoring.write(session, scoring.compute(scoring.Batch(version, unscored), scorer))
    return list(session.scalars(select(Score).order_by(Score.utterance_id)))


def test_settings_turn_the_further_signals_on(session: Session, tmp_path: Path) -> None:
    scorer = trained(tmp_path, snapshots=3, dropout_passes=3)
    stored = score(session, scorer)
    assert len(stored) == 6
    for row in stored:
        assert all(getattr(row, name) is not None for name in OPTIONAL)
    assert max(row.dropout_mutual_information or 0.0 for row in stored) > 0.0
    assert max(row.variability or 0.0 for row in stored) > 0.0


def test_as_delivered_they_are_off_and_everything_else_is_there(session: Session, tmp_path: Path) -> None:
    for row in score(session, trained(tmp_path)):
        assert {getattr(row, name) for name in OPTIONAL} == {None}
        assert all(getattr(row, name) is not None for name in set(scoring.NUMBERS) - set(OPTIONAL))


def test_el2n_of_the_real_model_is_the_formula_of_its_early_checkpoint(tmp_path: Path) -> None:
    scorer = trained(tmp_path)
    texts = ["play a song", "will it rain today", "louder"]
    prediction = scorer.predict(texts, ["en-US"] * 3)
    labels = [scorer.vocabulary.domains.index(domain) for domain in ("music", "audio", "audio")]
    errors = prediction.early_domain_probs.astype(np.float64) - np.eye(3)[labels]
    expected = np.linalg.norm(errors, axis=2)
    found = scoring.columns(prediction, labels)
    assert found["el2n"] == pytest.approx(expected.mean(0), rel=1e-9)
    assert found["el2n_spread"] == pytest.approx(expected.std(0), rel=1e-9)
    assert found["el2n"].argmax() == 1  # the one with a wrong label
    assert scorer.el2n_epoch == 8  # a fifth of the 40 epochs of so little data

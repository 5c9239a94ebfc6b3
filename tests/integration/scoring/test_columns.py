"""`columns` is what production writes and the benchmark ranks by: the stored row holds exactly its numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Score
from plugin.services import scoring
from tests import factories
from tests.fakes.scorer import FakeScorer


def test_the_stored_scores_are_the_columns(session: Session, score_all: Callable[[], int]) -> None:
    rows = factories.utterances(session, 5)
    factories.champion(session)
    score_all()
    labels = [factories.DOMAINS.index(row.domain or "") for row in rows]
    found = scoring.columns(FakeScorer().predict([row.text for row in rows], ["en-US"] * 5), labels)
    for number, row in enumerate(rows):
        stored = session.scalars(select(Score).where(Score.utterance_id == row.id)).one()
        for name, values in found.items():
            assert getattr(stored, name) == pytest.approx(float(values[number]), abs=1e-6), name


def test_columns_take_labels_as_numbers_and_refuse_others() -> None:
    prediction = FakeScorer().predict(["a", "b"], ["en-US"] * 2)
    assert scoring.columns(prediction, np.array([0, -1]))["el2n"].shape == (2,)
    with pytest.raises(ValueError, match="labels"):
        scoring.columns(prediction, [0, 3])

"""Which records' domains are suspected to be wrong, by what a model's stored predictions say of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.repositories import models, selections
from db.repositories.selections import Candidate
from plugin.quality.noise import suspicion
from plugin.quality.scores.arrays import UNKNOWN_LABEL

DOMAIN_PROBS = "domain_probs"


def label_errors(session: Session, version_id: int, rows: Sequence[Candidate]) -> NDArray[np.float64]:
    """(N,): how suspected each row's domain is, 0 not at all; NaN where the model has no prediction of the row.

    How sure the model is of each domain is measured over all the rows: those of a whole frame.
    """
    version = models.get(session, version_id)
    assert version is not None
    number = {domain: at for at, domain in enumerate(version.vocabulary["domains"])}
    labels = np.array([number.get(row.domain, UNKNOWN_LABEL) for row in rows], dtype=np.int64)
    place = {row.id: at for at, row in enumerate(rows)}
    probs = np.full((len(rows), len(number)), np.nan, dtype=np.float16)
    found = selections.features(session, version_id, list(place), [row.revision for row in rows], [DOMAIN_PROBS])
    for id_, vector in found:
        probs[place[id_]] = np.frombuffer(vector, dtype="<f2")
    known = ~np.isnan(probs).any(axis=1)
    suspected = np.full(len(rows), np.nan)
    suspected[known] = suspicion(probs[known], labels[known])
    return suspected

"""A world: trusted data, a pool labelled by a seed model, an evaluation set. The same for every arm.

What a policy needs of the pool is computed by the functions of production (`plugin.services.scoring.columns`),
from one prediction. Axes: N utterances of the pool, R replicates, D domains.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.corpora.simulate import WslOptions, WslPool, label_pool
from plugin.corpora.split import Split, split_corpus
from plugin.experiment.grid import POOLS, WHOLE, WINDOW
from plugin.experiment.setup import DEV, Setup
from plugin.formats.record import LabelledUtterance
from plugin.quality.selection import Frame, near_duplicates, needs
from plugin.records import Hypothesis, Policy, Strategy, TrainingExample, Vocabulary
from plugin.services.ports import Floats, Prediction, Scorer, Trainer
from plugin.services.scoring import columns

Bool = NDArray[np.bool_]
# A date of its own, so that a world does not depend on the day it is made.
_UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


class WorldError(ValueError):
    """A corpus does not give a world: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Hypotheses as a policy sees them, with the scores that follow from them and the features; N each."""

    hypotheses: list[Hypothesis]
    scores: dict[str, Floats]
    features: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class World:
    """`seconds` says what the seed model's training cost, and its prediction and scores of the whole pool.

    `dropped` counts the repeated texts that the split left out.
    """

    seed: int
    trusted: list[LabelledUtterance]
    dev: list[LabelledUtterance]
    evaluation: list[LabelledUtterance]
    pool: WslPool
    vocabulary: Vocabulary
    prediction: Prediction
    labelled: Labelled
    seconds: dict[str, float]
    dropped: dict[str, int]

    @property
    def size(self) -> int:
        return len(self.pool.truth)

    @property
    def domains(self) -> frozenset[str]:
        """The true ones of the whole corpus, whichever part a seed put them in."""
        parts = (self.trusted, self.dev, self.evaluation, self.pool.truth)
        return frozenset(row.label.domain for part in parts for row in part)

    @property
    def gold(self) -> list[Hypothesis]:
        return [row.label for row in self.pool.truth]

    def examples(
        self, rows: Iterable[int], labels: Mapping[int, Hypothesis] | Sequence[Hypothesis]
    ) -> list[TrainingExample]:
        """Those rows of the pool, each with its place in `labels`, to be trained on."""
        truth = self.pool.truth
        return [TrainingExample(truth[row].id, truth[row].locale, truth[row].text, labels[row]) for row in rows]

    def eligible(self, pool: str) -> Bool:
        """(N,): the rows of a frame over that part of the pool, as production makes it.

        The window is that of a policy: NLU band and no defect. Of near-duplicates the oldest is in, and none of
        what is trusted already.
        """
        if pool not in POOLS:
            raise ValueError(f"unknown pool {pool!r}")
        rows = np.flatnonzero(self._part(pool))
        drops = near_duplicates([self.pool.truth[row].text for row in rows], (row.text for row in self.trusted))
        eligible = np.zeros(self.size, dtype=np.bool_)
        eligible[rows[~drops]] = True
        return eligible

    def _part(self, pool: str) -> Bool:
        if pool == WHOLE:
            return np.ones(self.size, dtype=np.bool_)
        low, high = Policy().nlu_band
        nlu = np.array([row.nlu_score for row in self.pool.utterances], dtype=np.float64)
        defect = np.array([row.defect for row in self.pool.utterances], dtype=np.bool_)
        inside = (low <= nlu) & (nlu <= high)
        return (inside if pool == WINDOW else ~inside) & ~defect

    def frame(self, labelled: Labelled, rows: Bool, strategy: Strategy) -> Frame:
        """The frame of a round over those rows, with what the strategy looks at; an id is a place in the pool."""
        ids = np.flatnonzero(rows)
        wanted = needs(strategy)
        domains = np.array([hypothesis.domain for hypothesis in labelled.hypotheses], dtype=np.str_)
        return Frame(
            ids,
            domains[ids],
            {name: column[ids] for name, column in labelled.scores.items() if name == wanted.score},
            {name: matrix[ids] for name, matrix in labelled.features.items() if name in wanted.features},
        )

    def with_noise(self, per_cent: float) -> Labelled:
        """The pool as it were had `per_cent` of its hypotheses been replaced, and its scores with it."""
        if per_cent == 0.0:
            return self.labelled
        noisy = mislabelled(self.labelled.hypotheses, per_cent / 100.0, self.seed)
        return _labelled(noisy, self.prediction, self.vocabulary)


@dataclass(frozen=True, slots=True)
class _Served:
    """A part of a prediction, as the simulator takes it."""

    hypotheses: Sequence[Hypothesis]
    confidence: Any
    domain_probs: Any


class _Predicted:
    """Serves the simulator from a prediction of its whole pool, which is needed for the scores anyway."""

    def __init__(self, prediction: Prediction, vocabulary: Vocabulary) -> None:
        self._prediction = prediction
        self.vocabulary = vocabulary
        self._served = 0

    def predict(self, texts: Sequence[str], locales: Sequence[str]) -> _Served:
        assert len(texts) == len(locales)
        part = slice(self._served, self._served + len(texts))
        self._served += len(texts)
        found = self._prediction
        return _Served(found.hypotheses[part], found.confidence[part], found.domain_probs[:, part])


def make_world(rows: Sequence[LabelledUtterance], setup: Setup, seed: int, trainer: Trainer) -> World:
    """Split a corpus, train the seed model, let it label the pool. The same for the same arguments.

    Raises:
        WorldError: a corpus without what `evaluate_on` needs.
        SplitError: a corpus that is too small.
    """
    split = _split(rows, setup, seed)
    begun = time.perf_counter()
    scorer = trainer.train(split.trusted, split.dev, seed=seed, replicates=setup.seed_replicates)
    trained = time.perf_counter()
    prediction = scorer.predict([row.text for row in split.pool], [row.locale for row in split.pool])
    labelled = _labelled(prediction.hypotheses, prediction, scorer.vocabulary)
    scored = time.perf_counter()
    options = WslOptions(
        until=_UNTIL,
        seed=seed,
        defect_recall=setup.defect_recall,
        defect_false_rate=setup.defect_false_rate,
        domain_scores=False,
    )
    return World(
        seed=seed,
        trusted=split.trusted,
        dev=split.dev,
        evaluation=split.test,
        pool=label_pool(split.pool, _Predicted(prediction, scorer.vocabulary), options),
        vocabulary=scorer.vocabulary,
        prediction=prediction,
        labelled=labelled,
        seconds={"seed_model": trained - begun, "score": scored - trained},
        dropped=split.dropped,
    )


def score(scorer: Scorer, rows: Sequence[LabelledUtterance], hypotheses: Sequence[Hypothesis]) -> Labelled:
    """Those rows scored anew, by another model, with the hypotheses they have."""
    prediction = scorer.predict([row.text for row in rows], [row.locale for row in rows])
    return _labelled(hypotheses, prediction, scorer.vocabulary)


def _labelled(hypotheses: Sequence[Hypothesis], prediction: Prediction, vocabulary: Vocabulary) -> Labelled:
    number = {domain: index for index, domain in enumerate(vocabulary.domains)}
    labels = np.array([number.get(hypothesis.domain, -1) for hypothesis in hypotheses], dtype=np.int64)
    scores = {name: column.astype(np.float32) for name, column in columns(prediction, labels).items()}
    return Labelled(list(hypotheses), scores, features(prediction))


def features(prediction: Prediction) -> dict[str, Floats]:
    """What strategies compare utterances by, (N, F) each; this and scores at the precision that production keeps."""
    found = {
        "domain_probs": prediction.domain_probs.mean(axis=0, dtype=np.float64),
        "intent_probs": prediction.intent_probs.mean(axis=0),
        "slot_mass": prediction.slot_mass,
        "embedding": prediction.embedding,
    }
    return {name: matrix.astype(np.float16).astype(np.float32) for name, matrix in found.items()}


def mislabelled(labels: Sequence[Hypothesis], share: float, seed: int) -> list[Hypothesis]:
    """`share` of the labels with the domain and intent of another one that differs; slots stay.

    Drawn with the share's frequency of each label. A larger share holds the smaller one.
    """
    random_ = random.Random(f"noise/{seed}")  # noqa: S311  # sampling, no secret
    lots = [random_.random() for _ in labels]
    others = [random_.randrange(len(labels)) for _ in labels]
    found = list(labels)
    for place in sorted(range(len(labels)), key=lots.__getitem__)[: round(share * len(labels))]:
        other = _next_that_differs(labels, others[place], labels[place])
        found[place] = replace(labels[place], domain=other.domain, intent=other.intent)
    return found


def _next_that_differs(labels: Sequence[Hypothesis], start: int, label: Hypothesis) -> Hypothesis:
    for step in range(len(labels)):
        other = labels[(start + step) % len(labels)]
        if (other.domain, other.intent) != (label.domain, label.intent):
            return other
    return label


def _split(rows: Sequence[LabelledUtterance], setup: Setup, seed: int) -> Split:
    if setup.evaluate_on == DEV:
        rows = _for_development(rows, setup.extra)
    return split_corpus(rows, trusted=setup.trusted, dev=setup.dev, test=setup.test, seed=seed)


def _for_development(rows: Sequence[LabelledUtterance], extra: int) -> list[LabelledUtterance]:
    """The dev partition and `extra` training utterances in the place of test, which leaves.

    Which ones follows from the id alone, the locale in it aside: in every locale of a parallel corpus the same.
    """
    if not {"dev", "test"} <= {row.partition for row in rows}:
        raise WorldError(f"evaluate_on={DEV} needs a corpus with partitions dev and test of its own")
    train = [row for row in rows if row.partition not in ("dev", "test")]
    moved = {row.id for row in sorted(train, key=_lot)[:extra]}
    return [
        replace(row, partition="test" if row.partition == "dev" or row.id in moved else "train")
        for row in rows
        if row.partition != "test"
    ]


def _lot(row: LabelledUtterance) -> str:
    return hashlib.sha256(f"assay-dev/{parallel_id(row)}".encode()).hexdigest()


def parallel_id(row: LabelledUtterance) -> str:
    """The id without its locale: of a parallel corpus the same in every locale."""
    return row.id.removeprefix(f"{row.locale}/")

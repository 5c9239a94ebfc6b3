"""How good is the model itself? Trained on a corpus's own training set, as the literature's are, and tested once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.corpora.split import PARTITIONS, split_corpus, text_key
from plugin.formats.record import LabelledUtterance
from plugin.quality.inference import ratio_interval
from plugin.quality.metrics import METRICS, ErrorCounts, count_errors
from plugin.records import Hypothesis
from plugin.services.ports import Progress, Scorer, Trainer

Float = NDArray[np.float64]

INTENT_ACCURACY = "intent_accuracy"


class CredibleError(ValueError):
    """A corpus cannot be trained and tested on: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the model learns, what its temperatures are fitted on, what it is tested on."""

    train: list[LabelledUtterance]
    dev: list[LabelledUtterance]
    test: list[LabelledUtterance]


def divide(rows: Sequence[LabelledUtterance], *, limit: int | None, dev: int, test: int, seed: int) -> Parts:
    """The corpus's own partitions, whole; of a corpus without any, `dev` and `test` are drawn, and no text is in two.

    `limit`: train on so many utterances, drawn with the seed.

    Raises:
        CredibleError: some partitions but not train and test, or fewer utterances than `limit`.
        SplitError: an unknown partition, or too few utterances to draw from.
    """
    own = {row.partition for row in rows}
    if own & set(PARTITIONS):
        if not {"train", "test"} <= own:
            raise CredibleError("the corpus has partitions, but not both train and test: name files that have them")
        parts = Parts(*([row for row in rows if row.partition == name] for name in PARTITIONS))
    else:
        split = split_corpus(rows, trusted=1, dev=dev, test=test, seed=seed)
        parts = Parts([*split.trusted, *split.pool], split.dev, split.test)
    if limit is None:
        return parts
    if limit > len(parts.train):
        raise CredibleError(f"there are {len(parts.train)} training utterances, not {limit}")
    drawn = random.Random(f"credible/{seed}").sample(parts.train, limit)  # noqa: S311  # sampling, no secret
    return replace(parts, train=drawn)


def measure(
    parts: Parts,
    trainer: Trainer,
    *,
    seed: int,
    parameters: Callable[[Scorer], int],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train, predict the test set, and count: metrics with 95 % BCa bootstrap intervals over its utterances.

    `unseen` has the metrics on the test utterances whose text is not in the training data.
    """
    begun = time.perf_counter()
    scorer = trainer.train(parts.train, parts.dev, seed=seed, progress=progress)
    trained = time.perf_counter()
    said = scorer.predict([row.text for row in parts.test], [row.locale for row in parts.test]).hypotheses
    predicted = time.perf_counter()
    known = {text_key(row.text) for row in parts.train}
    unseen = np.array([text_key(row.text) not in known for row in parts.test], dtype=np.bool_)
    gold = [row.label for row in parts.test]
    return {
        "utterances": {"train": len(parts.train), "dev": len(parts.dev), "test": len(parts.test)},
        "seen_in_training": int((~unseen).sum()),
        "metrics": _metrics(gold, said, np.ones(len(gold), dtype=np.bool_), seed),
        "unseen": _metrics(gold, said, unseen, seed),
        "parameters": parameters(scorer),
        "seconds": {"train": round(trained - begun, 1), "predict": round(predicted - trained, 1)},
    }


def _metrics(
    gold: Sequence[Hypothesis], said: Sequence[Hypothesis], rows: NDArray[np.bool_], seed: int
) -> dict[str, dict[str, float]]:
    """Value, low and high of each; none where no row is left."""
    if not rows.any():
        return {}
    counts: ErrorCounts = count_errors(gold, said).where(rows)
    right = np.array([true.intent == guess.intent for true, guess in zip(gold, said, strict=True)], dtype=np.float64)
    terms: dict[str, tuple[Float, Float]] = {INTENT_ACCURACY: (right[rows], np.ones(int(rows.sum())))}
    terms |= {metric: counts.terms(metric) for metric in METRICS}
    found = {name: ratio_interval(*both, seed=seed) for name, both in terms.items()}
    return {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in found.items()}

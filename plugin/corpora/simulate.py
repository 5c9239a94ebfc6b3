"""Make a weak-signal-labelled (WSL) pool from a labelled corpus: what a production assistant's log would look like.

A seed model is trained on a small trusted part; its hypotheses on all the rest are the weak labels, its
confidence the NLU score. A small seed model is wrong far more often than a production one, so the sign that
production has of that, a defect (the user repeated or gave up), is simulated: it marks a wrong hypothesis
with probability `defect_recall`, a right one with `defect_false_rate`. Nothing is filtered here: the
NLU-score band and the no-defect filter belong to the policy.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from plugin.corpora.split import Split
from plugin.formats.record import LabelledUtterance
from plugin.records import Hypothesis, TrainingExample, Utterance, Vocabulary

# Figures in the reports; the policy's own defaults are in `plugin.records.Policy`.
NLU_BAND = (0.30, 0.85)

_CHUNK = 2048
_DECIMALS = 6
# The record format knows no earlier time.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

Progress = Callable[[int, int], None]  # (done, in all)


class SeedPrediction(Protocol):
    @property
    def hypotheses(self) -> Sequence[Hypothesis]: ...  # N
    @property
    def confidence(self) -> Any: ...  # (N,) in [0, 1]
    @property
    def domain_probs(self) -> Any: ...  # (R, N, D)


class SeedScorer(Protocol):
    @property
    def vocabulary(self) -> Vocabulary: ...
    def predict(self, texts: Sequence[str], locales: Sequence[str]) -> SeedPrediction: ...


class SeedTrainer(Protocol):
    def train(
        self,
        examples: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        *,
        seed: int,
        replicates: int | None = None,
        progress: Progress | None = None,
    ) -> SeedScorer: ...


@dataclass(frozen=True, slots=True)
class WslOptions:
    """`until` is the end of the `days` over which the log is spread."""

    until: datetime
    seed: int = 0
    replicates: int | None = None
    defect_recall: float = 0.8
    defect_false_rate: float = 0.05
    days: int = 30
    domain_scores: bool = True

    def __post_init__(self) -> None:
        for name in ("defect_recall", "defect_false_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        if self.days < 1:
            raise ValueError(f"days must be at least 1, not {self.days}")
        if self.until.tzinfo is None:
            raise ValueError("until needs a time zone")
        if self.days > (self.until - _EARLIEST).days:
            raise ValueError(f"{self.days} days before {self.until.date()}: the log would begin before 1970")


@dataclass(frozen=True, slots=True)
class WslPool:
    """The log, oldest first, and the truth about each of its utterances, in the same order."""

    utterances: list[Utterance]
    truth: list[LabelledUtterance]


def simulate_wsl(
    split: Split,
    trainer: SeedTrainer,
    options: WslOptions,
    *,
    training: Progress | None = None,
    labelling: Progress | None = None,
) -> WslPool:
    """Train the seed model and label the pool with it; the same for the same split, trainer and options."""
    scorer = trainer.train(
        split.trusted, split.dev, seed=options.seed, replicates=options.replicates, progress=training
    )
    return label_pool(split.pool, scorer, options, labelling)


def label_pool(
    pool: Sequence[LabelledUtterance],
    scorer: SeedScorer,
    options: WslOptions,
    progress: Progress | None = None,
) -> WslPool:
    random_ = random.Random(f"wsl/{options.seed}")  # noqa: S311  # sampling, no secret
    times = _times(len(pool), options, random_)
    utterances = []
    for start in range(0, len(pool), _CHUNK):
        chunk = pool[start : start + _CHUNK]
        prediction = scorer.predict([row.text for row in chunk], [row.locale for row in chunk])
        scores = _domain_scores(prediction, scorer.vocabulary.domains) if options.domain_scores else None
        for index, row in enumerate(chunk):
            hypothesis = prediction.hypotheses[index]
            wrong = hypothesis != row.label
            rate = options.defect_recall if wrong else options.defect_false_rate
            utterances.append(
                Utterance(
                    id=row.id,
                    locale=row.locale,
                    text=row.text,
                    hypothesis=hypothesis,
                    nlu_score=_probability(prediction.confidence[index]),
                    domain_scores=scores[index] if scores else None,
                    defect=random_.random() < rate,
                    occurred_at=times[start + index],
                )
            )
        if progress:
            progress(start + len(chunk), len(pool))
    return WslPool(utterances, list(pool))


def _times(count: int, options: WslOptions, random_: random.Random) -> list[datetime]:
    seconds = options.days * 86_400
    ages = sorted((random_.randrange(1, seconds + 1) for _ in range(count)), reverse=True)
    return [options.until - timedelta(seconds=age) for age in ages]


def _domain_scores(prediction: SeedPrediction, domains: Sequence[str]) -> list[dict[str, float]]:
    mean = prediction.domain_probs.mean(axis=0)  # (R, N, D) -> (N, D)
    return [{name: _probability(value) for name, value in zip(domains, row, strict=True)} for row in mean]


def _probability(value: float) -> float:
    """Rounded, so that the file is the same on machines whose last bits differ."""
    return min(1.0, max(0.0, round(float(value), _DECIMALS)))


def summarise(pool: WslPool, band: tuple[float, float] = NLU_BAND) -> dict[str, Any]:
    """Counts and shares of a pool: how wrong it is, and what a policy's band and no-defect filter leave."""
    pairs = list(zip(pool.utterances, pool.truth, strict=True))
    window = [(row, true) for row, true in pairs if not row.defect and band[0] <= (row.nlu_score or 0.0) <= band[1]]
    return {
        "utterances": len(pairs),
        "defects": sum(row.defect for row, _ in pairs),
        **_shares_wrong(pairs),
        "window": {
            "nlu_band": list(band),
            "without_defect": True,
            "utterances": len(window),
            "share": _share(len(window), len(pairs)),
            **_shares_wrong(window),
        },
    }


def _shares_wrong(pairs: Sequence[tuple[Utterance, LabelledUtterance]]) -> dict[str, float]:
    judged = [(row.hypothesis, true.label) for row, true in pairs if row.hypothesis is not None]
    return {
        "share_wrong": _share_where(judged, lambda guess, true: guess != true),
        "share_wrong_domain": _share_where(judged, lambda guess, true: guess.domain != true.domain),
        "share_wrong_intent": _share_where(judged, lambda guess, true: guess.intent != true.intent),
    }


def _share_where(
    pairs: Iterable[tuple[Hypothesis, Hypothesis]], differs: Callable[[Hypothesis, Hypothesis], bool]
) -> float:
    outcomes = [differs(guess, true) for guess, true in pairs]
    return _share(sum(outcomes), len(outcomes))


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0

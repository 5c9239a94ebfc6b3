"""The words of Assay as plain values: no I/O, no database, no Label Studio.

Spans count Unicode code points of `text`, half-open: `text[start:end]` is the slot's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a machine, or a person, says an utterance means. `slots` are sorted and do not overlap."""

    domain: str
    intent: str
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True)
class Utterance:
    """One record of a production log, as the record format (docs/record-format.md) has it."""

    id: str
    locale: str
    text: str
    hypothesis: Hypothesis | None = None
    nlu_score: float | None = None
    domain_scores: Mapping[str, float] | None = None
    defect: bool = False
    occurred_at: datetime | None = None


class Verdict(StrEnum):
    ACCEPT = "accept"
    FIX = "fix"
    REJECT = "reject"


class RejectReason(StrEnum):
    NOT_AN_UTTERANCE = "not an utterance"
    OTHER_LANGUAGE = "other language"
    UNINTELLIGIBLE = "unintelligible"
    PRIVATE_OR_OFFENSIVE = "private or offensive"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Review:
    """An annotation as it came back from Label Studio. `label` is None when the utterance was rejected.

    shown_blind  nothing of a label was filled in; the verdict is then known only by comparison with the hypothesis
    """

    annotation_id: int
    task_id: int
    utterance_id: int
    verdict: Verdict
    label: Hypothesis | None
    annotator: str
    lead_time_s: float | None
    created_at: datetime
    updated_at: datetime
    shown_blind: bool = False
    note: str = ""
    reject_reason: RejectReason | None = None


class Strategy(StrEnum):
    """How a round's items are chosen; docs/strategies.md says what each ranks by and when to use it."""

    RANDOM = "random"
    ENTROPY = "entropy"
    EL2N = "el2n"
    MARGIN = "margin"
    LEAST_CONFIDENCE = "least-confidence"
    BALD = "bald"
    DROPOUT_BALD = "dropout-bald"
    TOKEN_ENTROPY = "token-entropy"  # noqa: S105  a name, no password
    SEQUENCE_MARGIN = "sequence-margin"
    JOINT = "joint"
    VARIABILITY = "variability"
    FORGETTING = "forgetting"
    K_CENTER = "k-center"
    BADGE = "badge"
    K_MEANS = "k-means"
    FACILITY_LOCATION = "facility-location"
    BANDIT = "bandit"
    AUTO = "auto"


# Those that order a frame. The others are resolved to one of these before a round is chosen.
CONCRETE = tuple(strategy for strategy in Strategy if strategy not in (Strategy.BANDIT, Strategy.AUTO))


class Allocation(StrEnum):
    GLOBAL = "global"
    PROPORTIONAL = "proportional"
    EQUAL = "equal"


class Arm(StrEnum):
    STRATEGY = "strategy"
    CONTROL = "control"
    NOISE = "noise"


# Suspected errors repair labels; a round that is mostly of them would learn about little else.
MAX_NOISE_SHARE = 0.5
# What is filled in saves most of the work: no queue is mostly without it.
MAX_BLIND_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Policy:
    """What an admin sets for a (locale, domain); see `assay policy show`.

    strategy       what comes first; `k-means` is greedy k-means++ seeding, no clustering
    budget         items a round puts into queues, control included
    control_share  part of the budget drawn uniformly at random, before and apart from the strategy
    hard_share     of the strategy's items, the part that comes first in the strategy's order (the highest
                   scores, or the most diverse); the others are drawn at random from the rest ("easy" never
                   means the very easiest: those teach nothing)
    noise_share    part of the budget, of what the control leaves of it, for suspected label errors, the most suspected
                   first; what they do not fill is the strategy's
    blind_share    part of what is shown that is shown without label and reason, whatever its arm: there the bias of
                   what is filled in can be measured
    overlap_share  part of what is reviewed that somebody else is asked about too, whatever its arm: there the agreement
                   of people can be measured. A twentieth of the work buys, at 85 % agreement, an interval of 14 points
                   either way after a round of 500, of 7 after four
    nlu_band       closed interval of `nlu_score` that may enter
    train_on_weak  whether unreviewed hypotheses of the pool also train a production candidate
    """

    strategy: Strategy = Strategy.K_MEANS
    budget: int = 500
    allocation: Allocation = Allocation.GLOBAL
    control_share: float = 0.20
    hard_share: float = 1.0
    noise_share: float = 0.0
    blind_share: float = 0.05
    overlap_share: float = 0.05
    nlu_band: tuple[float, float] = (0.30, 0.85)
    exclude_defects: bool = True
    train_on_weak: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ValueError(f"budget must be at least 1, not {self.budget}")
        for name in ("control_share", "hard_share", "overlap_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        if not 0.0 <= self.noise_share <= MAX_NOISE_SHARE:
            raise ValueError(f"noise_share must lie in [0, {MAX_NOISE_SHARE}], not {self.noise_share}")
        if not 0.0 <= self.blind_share <= MAX_BLIND_SHARE:
            raise ValueError(f"blind_share must lie in [0, {MAX_BLIND_SHARE}], not {self.blind_share}")
        low, high = self.nlu_band
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(f"nlu_band must be 0 <= low <= high <= 1, not {low}, {high}")


PRESETS: Mapping[str, Mapping[str, object]] = {
    # arXiv 2311.16302: EL2N over 5 replicates, 10 % hard and 90 % easy, trained on the weak labels.
    "paper": {"strategy": Strategy.EL2N, "hard_share": 0.10, "train_on_weak": True},
}


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A labelled utterance as training and evaluation see it."""

    id: str
    locale: str
    text: str
    label: Hypothesis


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The closed label sets of a model, each sorted; an index into them is a class number."""

    domains: tuple[str, ...]
    intents: tuple[str, ...]
    slots: tuple[str, ...]
    intent_domains: Mapping[str, str] = field(default_factory=dict)


# Sums of probabilities are held to 1 within this: a softmax written as float32 is off by less.
SUM_TOLERANCE = 1e-4


def domain_scores_limit(domains: int) -> float:
    """The largest sum of `domain_scores` that rounding explains: each of them may be half a thousandth too high.

    What ingest takes and what scoring takes are one and the same by this.
    """
    # A billionth for the floats themselves, where every score is rounded up by exactly a half.
    return 1.0 + domains * 0.0005 + 1e-9

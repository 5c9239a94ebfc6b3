"""Metrics: every count and every rate, over all, by domain and by label, against a plain comparison of the labels."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from plugin.quality.metrics import count_errors
from plugin.records import Hypothesis, Slot
from tests.benchmarks import data
from tests.benchmarks.data import Site

DISTINCT_LABELS = 2000
WRONG = 0.15


@dataclass(frozen=True)
class Metrics:
    gold: Sequence[Hypothesis]
    said: Sequence[Hypothesis]
    right: int  # how many of `said` were left as they are in `gold`
    name: str = "metrics"
    against: str = "equality"

    @property
    def size(self) -> int:
        return len(self.gold)

    @contextmanager
    def ours(self) -> Iterator[Callable[[], None]]:
        shares: list[float] = []
        yield lambda: shares.append(measure(self.gold, self.said))
        assert shares == [self.right / self.size]

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        """What exact match alone would take."""
        found: list[int] = []
        yield lambda: found.append(equal(self.gold, self.said))
        assert found == [self.right]


@contextmanager
def prepared(site: Site) -> Iterator[Metrics]:
    random_ = random.Random(0)
    corpus = data.corpus(min(site.size, DISTINCT_LABELS))
    labels = [example.label for example in itertools.islice(itertools.cycle(corpus), site.size)]
    said = [misread(label, random_) for label in labels]
    yield Metrics([copied(label) for label in labels], [label for label, _ in said], sum(right for _, right in said))


def copied(label: Hypothesis) -> Hypothesis:
    """Slots of its own: what is the same object need not be compared."""
    return replace(label, slots=tuple(replace(slot) for slot in label.slots))


def misread(label: Hypothesis, random_: random.Random) -> tuple[Hypothesis, bool]:
    """The label with a share of domains, intents and slots wrong, as a system has them; whether it was left right."""
    wrong = [random_.random() < WRONG for _ in range(2)]
    fates = [random_.random() for _ in label.slots]
    said = Hypothesis(
        domain=f"not-{label.domain}" if wrong[0] else label.domain,
        intent=f"not-{label.intent}" if wrong[1] else label.intent,
        slots=tuple(itertools.chain.from_iterable(map(misread_slot, label.slots, fates))),
    )
    return said, not any(wrong) and all(fate >= WRONG for fate in fates)


def misread_slot(slot: Slot, fate: float) -> tuple[Slot, ...]:
    """Missed, of another label, or too long; mostly right."""
    if fate < WRONG / 3:
        return ()
    if fate < WRONG * 2 / 3:
        return (replace(slot, label=f"not-{slot.label}"),)
    return (replace(slot, end=slot.end + 1),) if fate < WRONG else (replace(slot),)


def measure(gold: Sequence[Hypothesis], said: Sequence[Hypothesis]) -> float:
    counts = count_errors(gold, said)
    for part in (counts, *counts.by_domain().values()):
        part.rates()
    for slots in counts.slots.by_label().values():
        slots.rates()
    return counts.rate("exact_match")


def equal(gold: Sequence[Hypothesis], said: Sequence[Hypothesis]) -> int:
    return sum(one == other for one, other in zip(gold, said, strict=True))

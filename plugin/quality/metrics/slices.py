"""Parts of a test set, and a whole from parts. Axis: N utterances."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from plugin.quality.metrics.counts import ErrorCounts
from plugin.quality.metrics.slot_counts import SlotCounts


class Bucket(NamedTuple):
    """Whole numbers from `low` to `high`, both inside; without `high`, all from `low` on."""

    low: int
    high: int | None

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low}+"
        return f"{self.low}-{self.high}" if self.high > self.low else str(self.low)


def length_buckets(lengths: ArrayLike, starts: Sequence[int] = (1, 4, 7, 10)) -> list[Bucket]:
    """The bucket of each utterance's length, to slice by: `counts.by(length_buckets(lengths))`.

    Args:
        lengths: (N,) integers, in words or, for scripts that do not space them, in characters.
        starts: the least length of each bucket, ascending; the last one is open above.

    Returns:
        N buckets.

    Raises:
        ValueError: lengths that are not whole numbers (N,) or lie below the first bucket; starts not ascending.

    >>> [str(bucket) for bucket in length_buckets([2, 9, 31], starts=(1, 4, 10))]
    ['1-3', '4-9', '10+']
    """
    given, edges = np.asarray(lengths), np.asarray(starts)
    if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
        raise ValueError(f"lengths must be whole numbers of shape (N,), not {given.dtype} of shape {given.shape}")
    if edges.ndim != 1 or not edges.size or (np.diff(edges) <= 0).any():
        raise ValueError(f"starts must ascend, not {starts!r}")
    if given.size and given.min() < edges[0]:
        raise ValueError(f"a length of {given.min()} lies below the first bucket, which starts at {edges[0]}")
    buckets = [Bucket(low, after - 1) for low, after in itertools.pairwise(starts)]
    buckets.append(Bucket(starts[-1], None))
    return [buckets[index] for index in np.searchsorted(edges, given, side="right") - 1]


def pool(parts: Sequence[ErrorCounts]) -> ErrorCounts:
    """One whole of several parts, in their order: batches of a test set, several test sets, locales or seeds.

    Its rates are those of all utterances together, not the mean of the parts' rates.

    Args:
        parts: at least one, counted under the same options.

    Raises:
        ValueError: no parts.

    >>> from plugin.quality.metrics import count_errors
    >>> from plugin.records import Hypothesis
    >>> right, wrong = Hypothesis("weather", "query"), Hypothesis("music", "play")
    >>> whole = pool([count_errors([right], [wrong]), count_errors([right, right, right], [right, right, right])])
    >>> len(whole), whole.rate("dcer")
    (4, 0.25)
    """
    if not parts:
        raise ValueError("nothing to pool: no parts")
    return ErrorCounts(
        domains=np.concatenate([part.domains for part in parts]),
        domain_error=np.concatenate([part.domain_error for part in parts]),
        intent_error=np.concatenate([part.intent_error for part in parts]),
        reference=np.concatenate([part.reference for part in parts]),
        hypothesis=np.concatenate([part.hypothesis for part in parts]),
        matched=np.concatenate([part.matched for part in parts]),
        substitutions=np.concatenate([part.substitutions for part in parts]),
        deletions=np.concatenate([part.deletions for part in parts]),
        insertions=np.concatenate([part.insertions for part in parts]),
        slots=_pool_slots([part.slots for part in parts]),
    )


def _pool_slots(parts: Sequence[SlotCounts]) -> SlotCounts:
    names = tuple(sorted({name for part in parts for name in part.names}))
    number = {name: label for label, name in enumerate(names)}
    first = np.cumsum([0, *(part.size for part in parts)])  # the row at which each part starts
    return SlotCounts(
        size=int(first[-1]),
        names=names,
        rows=np.concatenate([part.rows + start for part, start in zip(parts, first, strict=False)]),
        labels=np.concatenate(
            [np.array([number[name] for name in part.names], dtype=np.int64)[part.labels] for part in parts]
        ),
        reference=np.concatenate([part.reference for part in parts]),
        hypothesis=np.concatenate([part.hypothesis for part in parts]),
        matched=np.concatenate([part.matched for part in parts]),
    )

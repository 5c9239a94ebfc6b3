"""Two ways to the same end, timed in turn: ours, and a reference that does nothing but the heart of the work."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

Prepare = Callable[[], AbstractContextManager[Callable[[], None]]]
Say = Callable[[str], None]


class Benchmark(Protocol):
    """`ours` and `reference` prepare a run, hand it over to be timed, then check what it did and clean up."""

    @property
    def name(self) -> str: ...
    @property
    def against(self) -> str: ...
    @property
    def size(self) -> int: ...

    def ours(self) -> AbstractContextManager[Callable[[], None]]: ...
    def reference(self) -> AbstractContextManager[Callable[[], None]]: ...


@runtime_checkable
class Sampled(Protocol):
    """A benchmark whose reference is so slow that it does only a part of the work."""

    @property
    def reference_size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest of the repetitions' `values`."""

    median: float
    low: float
    high: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), tuple(values))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Utterances a second of both, and `ratio`, ours / reference of the same repetition: 1 is as fast."""

    name: str
    against: str
    size: int
    ours: Spread
    reference: Spread
    ratio: Spread


def compare(benchmark: Benchmark, repeat: int, say: Say) -> Comparison:
    """One run of each to warm up, then `repeat` pairs; each pair begins with the other one."""
    say(f"{benchmark.name}: warming up, {benchmark.size:,} utterances")
    seconds(benchmark.ours)
    seconds(benchmark.reference)
    reference_size = benchmark.reference_size if isinstance(benchmark, Sampled) else benchmark.size
    ours: list[float] = []
    reference: list[float] = []
    for number in range(1, repeat + 1):
        pair = [(benchmark.ours, ours, benchmark.size), (benchmark.reference, reference, reference_size)]
        for prepare, rates, size in pair if number % 2 else reversed(pair):
            rates.append(size / seconds(prepare))
        say(
            f"{benchmark.name}: {number} of {repeat}, Assay {ours[-1]:,.0f}/s, "
            f"{benchmark.against} {reference[-1]:,.0f}/s"
        )
    ratios = [mine / its for mine, its in zip(ours, reference, strict=True)]
    return Comparison(
        benchmark.name, benchmark.against, benchmark.size, Spread.of(ours), Spread.of(reference), Spread.of(ratios)
    )


def seconds(prepare: Prepare) -> float:
    with prepare() as run:
        gc.collect()
        gc.freeze()  # what preparation holds would be scanned in every full collection of the run
        try:
            start = time.perf_counter()
            run()
            return time.perf_counter() - start
        finally:
            gc.unfreeze()

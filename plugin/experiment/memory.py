"""How much memory a piece of work needs."""

from __future__ import annotations

import resource
import sys
import tracemalloc
from collections.abc import Callable

_MIB = 2**20


def peak_rss_mb() -> int:
    """The most memory this process has held so far, worlds and models of earlier trials included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (_MIB if sys.platform == "darwin" else _MIB / 1024))


def allocated_mb(work: Callable[[], object]) -> float:
    """Do it once more, and say how many MiB of Python and numpy it held at most; it takes longer than it else would."""
    tracemalloc.start()
    try:
        work()
        return round(tracemalloc.get_traced_memory()[1] / _MIB, 2)
    finally:
        tracemalloc.stop()

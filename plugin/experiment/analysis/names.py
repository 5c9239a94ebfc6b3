"""What can be told from an arm's name."""

from __future__ import annotations

import re

_SHARES = re.compile(r"el2n-(\d+)-(\d+)")
_SHARE = re.compile(r"el2n:(\d*\.?\d+)")
_WORDS = {"el2n": "EL2N", "bald": "BALD", "badge": "BADGE"}


def split(arm: str) -> tuple[str, str]:
    """Strategy and allocation, the latter empty where the name has none.

    >>> split("k-means@proportional"), split("entropy")
    (('k-means', 'proportional'), ('entropy', ''))
    """
    strategy, _, allocation = arm.partition("@")
    return strategy, allocation


def hard_share(arm: str) -> float | None:
    """The share of the hardest in an EL2N arm; None of any other arm.

    >>> [hard_share(arm) for arm in ("el2n-10-90", "el2n:0.2@equal", "el2n-hard", "entropy")]
    [0.1, 0.2, 1.0, None]
    """
    strategy, _ = split(arm)
    if strategy in ("el2n", "el2n-hard"):
        return 1.0
    if found := _SHARES.fullmatch(strategy):
        hard, easy = map(int, found.groups())
        return hard / (hard + easy) if hard + easy else None
    found = _SHARE.fullmatch(strategy)
    return float(found[1]) if found else None


def label(arm: str) -> str:
    """The name as people read it.

    >>> [label(arm) for arm in ("el2n-10-90", "el2n:0.2", "el2n-hard", "k-means@equal", "dropout-bald")]
    ['EL2N 10/90', 'EL2N 20/80', 'EL2N hard', 'k-means, equal', 'dropout-BALD']
    """
    strategy, allocation = split(arm)
    share = hard_share(strategy)
    if share is not None and strategy not in ("el2n", "el2n-hard"):
        name = f"EL2N {100 * share:.0f}/{100 * (1 - share):.0f}"
    elif strategy == "el2n-hard":
        name = "EL2N hard"
    else:
        name = "-".join(_WORDS.get(word, word) for word in strategy.split("-"))
    return f"{name}, {allocation}" if allocation else name

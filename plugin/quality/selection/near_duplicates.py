"""Texts that say nearly the same, found exactly: no one is asked about both.

Two texts are near-duplicates when their sets of tokens have a Jaccard similarity of at least `THRESHOLD`:

.. math:: J(A, B) = |A \\cap B| / |A \\cup B|

docs/decisions/0007-near-duplicates-exactly.md says why not by MinHash.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import ceil
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin.tokens import token_spans

THRESHOLD = Fraction(9, 10)
SHARED = 2  # rare tokens that two sets share before they are compared in full
Tokens = tuple[int, ...]


class NearSize(NamedTuple):
    """Of a size of sets: another size, how many rare tokens are shared with such a set, and among how many first."""

    size: int
    shared: int
    prefix: int


def token_set(text: str) -> frozenset[str]:
    """The words of a text, whatever their case, order, width and punctuation; characters where no spaces are written.

    Signs count only where there is nothing else, and a text of blanks alone is its own token, so that no set is
    empty.

    >>> sorted(token_set("Play JAZZ, please: jazz!"))
    ['jazz', 'play', 'please']
    >>> sorted(token_set("明天天气"))
    ['天', '明', '气']
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    tokens = {plain[start:end] for start, end in token_spans(plain)}
    words = frozenset(token for token in tokens if any(char.isalnum() for char in token))
    return words or frozenset(tokens) or frozenset([text])


def near_duplicates(
    texts: Sequence[str], taken: Iterable[str] = (), threshold: Fraction = THRESHOLD
) -> NDArray[np.bool_]:
    """Which texts say nearly the same as a taken one, or as an earlier text that does not itself drop out.

    What is left is a maximal set without near-duplicates: the first of each kind stays. A text that is near
    only to one that dropped out stays too; similarity is no equivalence.

    Args:
        texts: N texts, the preferred first.
        taken: texts that are spoken for, in any order, near to each other or not.
        threshold: the least Jaccard similarity of near-duplicates, in (0, 1].

    Returns:
        (N,), True for each text that drops out. Exact, and the same on every machine. Time depends on how
        often the rarest tokens occur.

    Raises:
        ValueError: a threshold outside (0, 1].

    Source: the prefix filter of Chaudhuri, Ganti and Kaushik 2006, as in AllPairs (Bayardo, Ma and Srikant 2007)
    and PPJoin (Xiao et al. 2008), longer by k - 1 as in AdaptJoin (Wang, Li and Feng 2012).

    >>> near_duplicates(["play jazz", "stop", "Jazz, play!", "play some jazz"], taken=["Stop."]).tolist()
    [False, True, True, False]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], not {threshold}")
    numbers: dict[str, int] = defaultdict(lambda: len(numbers))  # in the order in which tokens are met
    first = [_numbered(text, numbers) for text in taken]
    every = [_numbered(text, numbers) for text in texts]
    frequency = Counter(number for tokens in (*first, *every) for number in tokens)
    rank = {number: place for place, (number, _) in enumerate(sorted(frequency.items(), key=itemgetter(1)))}
    kept = _Kept(threshold)
    for tokens in first:
        kept.add(tuple(sorted(rank[number] for number in tokens)))
    drops = np.zeros(len(every), dtype=np.bool_)
    for row, tokens in enumerate(every):
        ranked = tuple(sorted(rank[number] for number in tokens))
        drops[row] = kept.has_near(ranked)
        if not drops[row]:
            kept.add(ranked)
    return drops


def _numbered(text: str, numbers: dict[str, int]) -> tuple[int, ...]:
    """The text's token set, in a tenth of the memory."""
    return tuple(numbers[token] for token in token_set(text))


class _Kept:
    r"""Sets, to be asked for one near another.

    A set is its tokens' ranks in ascending order, the rarest token first. Two sets with :math:`J \ge t` have at least

    .. math:: o = \lceil t (|A| + |B|) / (1 + t) \rceil

    tokens in common, so that their k rarest common ones are among the first :math:`|A| - o + k` of A and the first
    :math:`|B| - o + k` of B. Only sets that share such k = `SHARED` tokens are compared in full: one token alone is
    in a fixed part of all sets, however rare, and would make time grow with the square of their number. Sizes at which
    only equal sets are near are not looked at: equal sets are looked up whole.
    """

    def __init__(self, threshold: Fraction) -> None:
        self._threshold = threshold
        self._equal: set[Tokens] = set()
        self._sizes: set[int] = set()
        self._with_rare: dict[Tokens, list[Tokens]] = defaultdict(list)  # (size, k tokens)
        self._near_sizes: dict[int, list[NearSize]] = {}

    def add(self, tokens: Tokens) -> None:
        if tokens in self._equal:
            return
        self._equal.add(tokens)
        size = len(tokens)
        self._sizes.add(size)
        longest: dict[int, int] = {}  # by k, the longest prefix that a set of another size asks for
        for near in self._near(size):
            longest[near.shared] = max(longest.get(near.shared, 0), near.prefix)
        for shared, prefix in longest.items():
            for rare in combinations(tokens[:prefix], shared):
                self._with_rare[size, *rare].append(tokens)

    def has_near(self, tokens: Tokens) -> bool:
        return tokens in self._equal or any(self._is_near(tokens, other) for other in self._candidates(tokens))

    def _candidates(self, tokens: Tokens) -> Iterator[Tokens]:
        for near in self._near(len(tokens)):
            if near.size in self._sizes:
                for rare in combinations(tokens[: near.prefix], near.shared):
                    yield from self._with_rare.get((near.size, *rare), ())

    def _near(self, size: int) -> list[NearSize]:
        """The sizes of sets that may be near one of this size without being equal to it."""
        if size not in self._near_sizes:
            sizes = range(ceil(size * self._threshold), int(size / self._threshold) + 1)
            self._near_sizes[size] = [near for other in sizes if (near := self._near_size(size, other))]
        return self._near_sizes[size]

    def _near_size(self, size: int, other: int) -> NearSize | None:
        common = ceil(self._threshold * (size + other) / (1 + self._threshold))
        if common == size == other:
            return None
        shared = min(SHARED, common)
        return NearSize(other, shared, size - common + shared)

    def _is_near(self, one: Tokens, other: Tokens) -> bool:
        common = len(set(one).intersection(other))
        union = len(one) + len(other) - common
        return common * self._threshold.denominator >= union * self._threshold.numerator

"""Words, character n-grams and word pairs as rows of one embedding table.

The table has exactly the features that training saw often enough, so nothing collides, and it stays as small
as the data; a word never seen falls back to its character n-grams. Features are computed once per distinct
token, not once per token.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plugin.tokens import is_unspaced, plain, token_spans

Ints = NDArray[np.int64]

_NGRAMS = (2, 3, 4)
_LONGEST_WORD = 24  # n-grams are read from this many characters at either end of a token
_GAP = "\x1f"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Utterances as numbers: ragged rows, as values and offsets.

    `types[k]` is the distinct token of position k; utterance i owns positions `offsets[i]:offsets[i + 1]`.
    Type t owns `type_features[type_offsets[t]:type_offsets[t + 1]]`; type 0 is padding and owns none.
    `pair_features` are the features of an utterance as a whole, likewise with `pair_offsets`.
    """

    spans: list[list[tuple[int, int]]]
    types: Ints
    offsets: Ints
    type_features: Ints
    type_offsets: Ints
    pair_features: Ints
    pair_offsets: Ints

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)


class FeatureTable:
    """The features a model knows, each with its row number."""

    def __init__(self, names: Sequence[str], max_tokens: int) -> None:
        self.names = tuple(names)
        self.max_tokens = max_tokens
        self._rows = {name: row for row, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def build(cls, texts: Iterable[str], *, min_count: int, max_tokens: int) -> FeatureTable:
        """All features that occur in at least `min_count` utterances of `texts`, sorted by name.

        When no feature is that frequent, as in a handful of utterances, all are kept.
        """
        counts: Counter[str] = Counter()
        cache: dict[str, tuple[str, ...]] = {}
        for text in texts:
            keys = _keys(text, token_spans(text, max_tokens))
            seen = set(_pairs(keys))
            for key in keys:
                if key not in cache:
                    cache[key] = tuple(_token_features(key))
                seen.update(cache[key])
            counts.update(seen)
        kept = [name for name, count in counts.items() if count >= min_count]
        return cls(sorted(kept or counts), max_tokens)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Row numbers of every token and utterance of `texts`; unknown features are left out."""
        spans: list[list[tuple[int, int]]] = []
        types: list[int] = []
        offsets = [0]
        numbers: dict[str, int] = {}
        pairs = _Ragged()
        for text in texts:
            found = token_spans(text, self.max_tokens)
            keys = _keys(text, found)
            spans.append(found)
            types.extend(numbers.setdefault(key, len(numbers) + 1) for key in keys)
            offsets.append(len(types))
            pairs.append(self._known(_pairs(keys)))
        tokens = _Ragged()
        tokens.append(())  # padding
        for key in numbers:
            tokens.append(self._known(_token_features(key)))
        return Encoded(
            spans,
            np.asarray(types, np.int64),
            np.asarray(offsets, np.int64),
            *tokens.arrays(),
            *pairs.arrays(),
        )

    def _known(self, names: Iterable[str]) -> list[int]:
        rows = self._rows
        return [rows[name] for name in names if name in rows]


class _Ragged:
    def __init__(self) -> None:
        self.values: list[int] = []
        self.offsets = [0]

    def append(self, row: Sequence[int]) -> None:
        self.values.extend(row)
        self.offsets.append(len(self.values))

    def arrays(self) -> tuple[Ints, Ints]:
        return np.asarray(self.values, np.int64), np.asarray(self.offsets, np.int64)


def _keys(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """What decides a token's features: the token, and for an unspaced character its neighbours too."""
    keys: list[str] = []
    for start, end in spans:
        token = text[start:end]
        if is_unspaced(token):
            token = _GAP.join((plain(text[max(0, start - 2) : start]), token, plain(text[end : end + 2])))
        keys.append(token)
    return keys


def _token_features(key: str) -> Iterator[str]:
    if _GAP in key:
        yield from _window_features(*key.split(_GAP))
        return
    form = unicodedata.normalize("NFKC", key).casefold()
    yield "w" + form
    yield "s" + _shape(key)
    marked = f"<{form}>"
    if len(marked) > 2 * _LONGEST_WORD:
        marked = marked[:_LONGEST_WORD] + marked[-_LONGEST_WORD:]
    for size in _NGRAMS:
        for start in range(len(marked) - size + 1):
            yield "g" + marked[start : start + size]


def _window_features(left: str, char: str, right: str) -> Iterator[str]:
    yield "w" + char
    for reach in (1, 2):
        yield f"l{left[-reach:]}|{char}"
        yield f"r{char}|{right[:reach]}"
    yield f"b{left[-1:]}|{char}|{right[:1]}"


def _shape(token: str) -> str:
    """Case and digits with repeats folded: "7am" and "12pm" are both "dx", "Ann" is "Xx"."""
    kinds = ("d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in token[:24])
    folded: list[str] = []
    for kind in kinds:
        if not folded or folded[-1] != kind:
            folded.append(kind)
    return "".join(folded)


def _pairs(keys: Sequence[str]) -> Iterator[str]:
    """Pairs of neighbouring words, with the borders of the utterance; none in unspaced scripts."""
    words = ["<", *(key.casefold() for key in keys if _GAP not in key), ">"]
    for left, right in pairwise(words):
        yield f"p{left} {right}"

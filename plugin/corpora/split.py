"""Divide a labelled corpus into what the WSL simulator needs, with no text in two parts."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from plugin.formats.record import LabelledUtterance

PARTITIONS = ("train", "dev", "test")


class SplitError(ValueError):
    """A corpus cannot be divided as asked: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Split:
    """`trusted` is the gold training part; `pool` gets weak labels. `dropped` counts repeated texts left out."""

    trusted: list[LabelledUtterance]
    dev: list[LabelledUtterance]
    test: list[LabelledUtterance]
    pool: list[LabelledUtterance]
    dropped: dict[str, int]


def split_corpus(corpus: Iterable[LabelledUtterance], *, trusted: int, dev: int, test: int, seed: int) -> Split:
    """Keep the corpus's own dev and test partitions; draw those that it lacks, of the sizes given.

    A text is the same whatever its case and white space. The test set stays whole, repeats included, so that
    figures compare with those of others; a dev text that is in test, and a training text that is in test,
    in dev or came before, is dropped.
    """
    by_partition = _by_partition(corpus)
    rest, own_dev, own_test = (by_partition[name] for name in PARTITIONS)
    random_ = random.Random(seed)  # noqa: S311  # sampling, no secret
    seen = {text_key(row.text) for row in own_test}
    dropped = {}
    kept_dev, dropped["dev"] = _unseen(own_dev, seen)
    rest, dropped["train"] = _unseen(rest, seen)
    random_.shuffle(rest)
    drawn_test = [] if own_test else _take(rest, test, "test")
    drawn_dev = [] if kept_dev else _take(rest, dev, "dev")
    gold = _take(rest, trusted, "trusted")
    if not rest:
        raise SplitError("nothing is left for the pool: choose a smaller trusted part, dev or test set")
    return Split(gold, kept_dev or drawn_dev, own_test or drawn_test, rest, dropped)


def text_key(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _by_partition(corpus: Iterable[LabelledUtterance]) -> dict[str, list[LabelledUtterance]]:
    parts: dict[str, list[LabelledUtterance]] = {name: [] for name in PARTITIONS}
    for row in corpus:
        name = row.partition or "train"
        if name not in parts:
            raise SplitError(f"partition {name!r} of {row.id} is not one of {', '.join(PARTITIONS)}")
        parts[name].append(row)
    return parts


def _unseen(rows: Iterable[LabelledUtterance], seen: set[str]) -> tuple[list[LabelledUtterance], int]:
    """Rows whose text is not in `seen`, which grows, and how many were."""
    kept = []
    repeats = 0
    for row in rows:
        key = text_key(row.text)
        if key in seen:
            repeats += 1
        else:
            seen.add(key)
            kept.append(row)
    return kept, repeats


def _take(rows: list[LabelledUtterance], count: int, part: str) -> list[LabelledUtterance]:
    if count > len(rows):
        raise SplitError(f"the {part} part is to have {count} utterances, but only {len(rows)} are left for it")
    taken = rows[len(rows) - count :]
    del rows[len(rows) - count :]
    return taken

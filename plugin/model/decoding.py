"""From probabilities to one hypothesis: tags that obey BIO, an intent that belongs to the domain.

Axes: B utterances, T tokens, K = 2S + 1 tags (`plugin.model.text.bio_tags`), D domains, I intents, P pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

_IMPOSSIBLE = -1e9


def decode_tags(probs: Floats, mask: NDArray[np.bool_]) -> Ints:
    """The most probable tag sequence in which every continuation follows its own beginning or continuation.

        argmax over valid t of sum_i ln probs[i, t_i]

    Args:
        probs: (B, T, K), each token's tag probabilities.
        mask: (B, T), true for the tokens that exist: the first ones of each row.

    Returns:
        (B, T) tags; 0 (outside) where there is no token.
    """
    tags = np.where(mask, probs.argmax(-1), 0)
    # Where the best tag of each token already makes a valid sequence, none can be better.
    before = np.pad(tags[:, :-1], ((0, 0), (1, 0)))
    continues = (tags > 0) & (tags % 2 == 0)
    broken = (continues & (before != tags) & (before != tags - 1)).any(1)
    if broken.any():
        tags[broken] = _viterbi(np.log(np.maximum(probs[broken], 1e-12)), mask[broken])
    return tags


def _viterbi(scores: Floats, mask: NDArray[np.bool_]) -> Ints:
    size, length, tags = scores.shape
    rows = np.arange(size)
    total = scores[:, 0].copy()
    total[:, 2::2] = _IMPOSSIBLE
    pointers = np.zeros((length, size, tags), np.int64)
    for position in range(1, length):
        previous = np.repeat(total.argmax(1)[:, None], tags, 1)  # (B, K)
        begin, inside = total[:, 1::2], total[:, 2::2]  # (B, S)
        previous[:, 2::2] = np.where(inside > begin, np.arange(2, tags, 2), np.arange(1, tags, 2))
        best = np.take_along_axis(total, previous, 1) + scores[:, position]
        exists = mask[:, position, None]
        pointers[position] = np.where(exists, previous, np.arange(tags))
        total = np.where(exists, best, total)
    path = np.zeros((size, length), np.int64)
    path[:, -1] = total.argmax(1)
    for position in range(length - 1, 0, -1):
        path[:, position - 1] = pointers[position, rows, path[:, position]]
    return np.where(mask, path, 0)


def decode_intents(domain_probs: Floats, intent_probs: Floats, pairs: Ints) -> tuple[Ints, Ints]:
    """The (domain, intent) pair, among those that training saw, with the highest product of probabilities.

    Args:
        domain_probs: (B, D).
        intent_probs: (B, I).
        pairs: (P, 2) domain and intent numbers.

    Returns:
        Domain numbers (B,) and intent numbers (B,).
    """
    joint = domain_probs[:, pairs[:, 0]] * intent_probs[:, pairs[:, 1]]  # (B, P)
    best = pairs[joint.argmax(1)]
    return best[:, 0], best[:, 1]

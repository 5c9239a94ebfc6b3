"""Which items are shown with nothing filled in."""

from __future__ import annotations

import hashlib


def is_blind(seed: int, utterance_id: int, share: float) -> bool:
    """Whether an utterance belongs to the blind part of a round: a draw of its own for each utterance.

    By hash, so it depends on nothing but the seed and the utterance: not on arm, score, rank, or what else is in the
    round. What comes later changes no earlier draw, and the blind of a smaller share are blind under a larger one too.

    Args:
        seed: the round's.
        share: in [0, 1]; the probability.

    >>> [utterance_id for utterance_id in range(20) if is_blind(0, utterance_id, 0.2)]
    [1, 5, 16]
    """
    digest = hashlib.sha256(f"blind:{seed}:{utterance_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64

"""Which items are shown with nothing filled in, and of which a second person is asked."""

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
    return _is_drawn("blind", seed, utterance_id, share)


def is_overlap(seed: int, utterance_id: int, share: float) -> bool:
    """Whether a second person is asked about an utterance: a draw as `is_blind`, and independent of it.

    >>> [utterance_id for utterance_id in range(20) if is_overlap(0, utterance_id, 0.2)]
    [2, 8]
    """
    return _is_drawn("overlap", seed, utterance_id, share)


def _is_drawn(what: str, seed: int, utterance_id: int, share: float) -> bool:
    digest = hashlib.sha256(f"{what}:{seed}:{utterance_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64

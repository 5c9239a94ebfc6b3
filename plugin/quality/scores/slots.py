"""Scores of the slots, and of an utterance as a whole.

Axes: N utterances, T tokens of all of them, one after another, K tags, A utterances that reach a position,
D domains, I intents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugin.quality.scores.arrays import Float, Int, cut, probabilities, row_entropy, token_lengths
from plugin.quality.scores.rows import entropy

Floats = NDArray[np.floating[Any]]


class TokenEntropy(NamedTuple):
    """Entropy over the tokens of each utterance, nats, each (N,). An utterance without tokens has 0."""

    mean: Float
    sum: Float
    max: Float


def token_entropy(token_probs: ArrayLike, lengths: ArrayLike) -> TokenEntropy:
    r"""Entropy of the slot tags, gathered per utterance.

    Args:
        token_probs: (T, K), the tag probabilities of all tokens of all utterances, one after another.
        lengths: (N,) integer, tokens of each utterance; they sum to T. Zero is allowed.

    Returns:
        mean and max in [0, ln K], sum in [0, length * ln K], nats, each (N,). High means uncertain slots.

    Raises:
        ValueError: as `entropy`; lengths not integer, negative, or not summing to T.

    Source: token entropy and total token entropy of Settles and Craven 2008, section 3.1.

    >>> token_entropy([[1.0, 0.0], [0.5, 0.5]], [2, 0]).max.round(4).tolist()
    [0.6931, 0.0]
    """
    per_token = row_entropy(probabilities(token_probs, "token_probs"))  # (T, K) -> (T,)
    size = token_lengths(lengths, per_token.size)
    owner = np.repeat(np.arange(size.size), size)  # (T,)
    total = np.bincount(owner, weights=per_token, minlength=size.size).astype(np.float64)
    largest = np.zeros(size.size)
    np.maximum.at(largest, owner, per_token)
    return TokenEntropy(mean=total / np.maximum(size, 1), sum=total, max=largest)


def joint_uncertainty(domain_probs: ArrayLike, intent_probs: ArrayLike, token_entropy_sum: ArrayLike) -> Float:
    r"""Entropy of the whole interpretation, :math:`H(p_{domain}) + H(p_{intent}) + \sum_i H(p_{tag, i})`.

    That is the entropy of the joint distribution over domain, intent and tag sequence, for a model whose heads
    and tokens are independent of one another given the text. It grows with the length of the utterance; given
    `token_entropy(...).mean` in place of the sum it does not.

    Args:
        domain_probs: (N, D), rows sum to 1.
        intent_probs: (N, I), rows sum to 1.
        token_entropy_sum: (N,) nats, `token_entropy(...).sum`.

    Returns:
        (N,) in [0, ln D + ln I + length * ln K] nats. High means uncertain.

    Raises:
        ValueError: as `entropy`; inputs of different lengths; a token entropy that is negative or not finite.

    Source: total token entropy of Settles and Craven 2008, section 3.1, with the chain rule of entropy.

    >>> joint_uncertainty([[0.5, 0.5]], [[1.0, 0.0]], [0.25]).round(4).tolist()
    [0.9431]
    """
    of_domain, of_intent = entropy(domain_probs), entropy(intent_probs)
    of_slots = np.asarray(token_entropy_sum, dtype=np.float64)
    if not of_domain.shape == of_intent.shape == of_slots.shape:
        raise ValueError(
            f"domain_probs, intent_probs and token_entropy_sum must hold the same utterances, "
            f"not {of_domain.shape}, {of_intent.shape} and {of_slots.shape}"
        )
    if not (np.isfinite(of_slots) & (of_slots >= 0.0)).all():
        raise ValueError("token_entropy_sum holds a value that is negative or not finite")
    total: Float = of_domain + of_intent + of_slots
    return total


def sequence_margin(token_probs: ArrayLike, lengths: ArrayLike) -> Float:
    r"""Lead of the best tag sequence over the second best, :math:`P(t^{(1)}) - P(t^{(2)})`.

    :math:`P(t) = \prod_i p_{i, t_i}` over the sequences that BIO allows: tag 0 is outside, 1 + 2s begins a slot
    of label s, and 2 + 2s continues one, so it must follow 1 + 2s or 2 + 2s. P is not renormalised over these
    sequences: probability that lies on forbidden ones counts as doubt. Exact, by dynamic programming.

    Args:
        token_probs: (T, K), the tag probabilities of all tokens of all utterances, one after another; K odd.
        lengths: (N,) integer, tokens of each utterance; they sum to T. Zero is allowed.

    Returns:
        (N,) in [0, 1]. High means *certain*; the margin of an utterance without tokens is 1. Long utterances
        have lower ones.

    Raises:
        ValueError: as `token_entropy`; an even number of tags.

    Source: sequence margin of Settles and Craven 2008, section 3.1.

    >>> sequence_margin([[0.5, 0.5, 0.0], [0.25, 0.0, 0.75]], [2, 0]).tolist()  # begin inside, outside outside
    [0.25, 1.0]
    """
    p = probabilities(token_probs, "token_probs")
    size = token_lengths(lengths, len(p))
    if p.shape[1] % 2 == 0:
        raise ValueError(f"token_probs has {p.shape[1]} tags: must be odd, outside and two for each slot label")
    starts = np.cumsum(size) - size
    return cut(path_margin(size, lambda position, rows: p[starts[rows] + position]).astype(np.float64), 0.0, 1.0)


def path_margin(lengths: Int, rows_at: Callable[[int, Int], Floats]) -> Floats:
    """`sequence_margin` of probabilities known to be sound, in the layout and precision the caller has them.

    Args:
        lengths: (N,) tokens of each utterance.
        rows_at: called with a token's position and the numbers (A,) of the utterances that reach it; gives
            their tag probabilities there, (A, K).

    Returns:
        (N,)

    >>> table = np.array([[[0.5, 0.5, 0.0], [0.25, 0.0, 0.75]]])
    >>> path_margin(np.array([2]), lambda position, rows: table[rows, position]).tolist()
    [0.25]
    """
    order = np.argsort(-lengths, kind="stable")  # the utterances that reach a position come first
    descending = lengths[order]
    margins: Floats = np.ones(len(lengths))
    paths: Floats = np.empty(0)  # (2, A, K): the best and the second best sequence that ends in each tag
    best: Floats = np.empty(0)  # (2, A): the same whatever the last tag
    for position in range(int(descending.max(initial=0))):
        rows = order[: np.count_nonzero(descending > position)]  # (A,)
        probs = rows_at(position, rows)
        before = _before(paths[:, : rows.size], best[:, : rows.size]) if position else _beginning(probs)
        paths = before * probs
        best = _two_best(paths)
        margins[rows] = best[0] - best[1]  # the last word is that of the utterance's last token
    return margins


def _beginning(probs: Floats) -> Floats:
    """What goes before the first token, (2, A, K): one sequence, which is in no slot."""
    before = np.zeros((2, *probs.shape), probs.dtype)
    before[0] = 1.0
    before[0, :, 2::2] = 0.0
    return before


def _before(paths: Floats, best: Floats) -> Floats:
    """The two best sequences that each tag may follow, (2, A, K); probability 0 where there is none."""
    before: Floats = np.empty_like(paths)
    before[:] = best[:, :, None]  # a beginning and the outside may follow any
    (begun, begun2), (inside, inside2) = paths[:, :, 1::2], paths[:, :, 2::2]
    np.maximum(begun, inside, out=before[0, :, 2::2])
    loser = np.minimum(begun, inside)
    np.maximum(loser, begun2, out=loser)
    np.maximum(loser, inside2, out=before[1, :, 2::2])
    return before


def _two_best(paths: Floats) -> Floats:
    """(2, A, K) -> (2, A)"""
    rows, tag = np.arange(paths.shape[1]), paths[0].argmax(axis=1)
    others = paths[0].copy()
    others[rows, tag] = paths[1, rows, tag]
    return np.stack([paths[0, rows, tag], others.max(axis=1)])

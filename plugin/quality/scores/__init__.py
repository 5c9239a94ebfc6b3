"""How uncertain, hard or contested an utterance is, from class probabilities.

Axes: R replicates, N utterances, K classes, T tokens of all utterances, S snapshots of a training.
All computed in float64, natural logarithm; only `path_margin` keeps its caller's precision. The ensemble computes tag
entropies, sequence margin and confidence itself, in float32 and from tag probabilities that no temperature scales.
`token_entropy` is only the oracle that its numbers are tested against; so is `sequence_margin`, around `path_margin`.

Every score checks its input once: the last axis must hold probabilities that sum to 1 within
`SUM_TOLERANCE`. Nothing is renormalised; what the tolerance lets through is cut back to the stated range.
A source's own scores, rounded or cut to a top-N list, become such a row by `complete_with_rest`.
docs/scores.md lists them all, with the column that production keeps each in.
"""

from plugin.quality.domain_scores import complete_with_rest
from plugin.quality.scores.arrays import EL2N_MAX, UNKNOWN_LABEL, Float, Int
from plugin.quality.scores.replicates import el2n, el2n_replicates, mutual_information
from plugin.quality.scores.rows import entropy, least_confidence, margin
from plugin.quality.scores.slots import TokenEntropy, joint_uncertainty, sequence_margin, token_entropy
from plugin.quality.scores.snapshots import Cartography, cartography, forgetting

__all__ = [
    "EL2N_MAX",
    "UNKNOWN_LABEL",
    "Cartography",
    "Float",
    "Int",
    "TokenEntropy",
    "cartography",
    "complete_with_rest",
    "el2n",
    "el2n_replicates",
    "entropy",
    "forgetting",
    "joint_uncertainty",
    "least_confidence",
    "margin",
    "mutual_information",
    "sequence_margin",
    "token_entropy",
]

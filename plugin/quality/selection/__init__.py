"""Which utterances are worth a person's time in this round, in which order, and with what probability."""

from plugin.quality.selection.blinding import is_blind, is_overlap
from plugin.quality.selection.extending import (
    Standing,
    Stretch,
    extension_policy,
    least_places,
    leave,
    merge,
    stretched,
)
from plugin.quality.selection.frame import Frame, frame_hash
from plugin.quality.selection.interleaving import interleave
from plugin.quality.selection.near_duplicates import near_duplicates
from plugin.quality.selection.ranking import RANKED_BY, Needs, needs
from plugin.quality.selection.rounds import LABEL_ERROR, SelectedItem, select

__all__ = [
    "LABEL_ERROR",
    "RANKED_BY",
    "Frame",
    "Needs",
    "SelectedItem",
    "Standing",
    "Stretch",
    "extension_policy",
    "frame_hash",
    "interleave",
    "is_blind",
    "is_overlap",
    "least_places",
    "leave",
    "merge",
    "near_duplicates",
    "needs",
    "select",
    "stretched",
]

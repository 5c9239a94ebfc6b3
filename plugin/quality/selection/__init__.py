"""Which utterances are worth a person's time in this round, in which order, and with what probability."""

from plugin.quality.selection.frame import Frame, frame_hash
from plugin.quality.selection.interleaving import interleave
from plugin.quality.selection.rounds import RANKED_BY, SelectedItem, select

__all__ = ["RANKED_BY", "Frame", "SelectedItem", "frame_hash", "interleave", "select"]

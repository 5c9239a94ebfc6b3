"""Rounds of selection, and the extensions by which they go on.

What is stored of one can be replayed byte for byte: its policies, its frame (ids and revisions), the immutable scores
and features of one model version, and the seed determine the items.
"""

from plugin.services.selection.packing import items_hash, pack_ids, unpack_ids
from plugin.services.selection.refreshing import Refreshed, due, keep_up
from plugin.services.selection.rounds import choose, read, refresh, replay, stored_rows, whole_hash, write
from plugin.services.selection.snapshots import Snapshot, UnscoredError, UnusableError, to_frame

__all__ = [
    "Refreshed",
    "Snapshot",
    "UnscoredError",
    "UnusableError",
    "choose",
    "due",
    "items_hash",
    "keep_up",
    "pack_ids",
    "read",
    "refresh",
    "replay",
    "stored_rows",
    "to_frame",
    "unpack_ids",
    "whole_hash",
    "write",
]

"""The bytes that a stored round is compared by, and the ids that it keeps."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plugin.quality.selection import SelectedItem


def items_hash(items: Sequence[SelectedItem]) -> str:
    """SHA-256 over every field of every item, in the order (domain, rank)."""
    lines = [
        json.dumps(
            [item.utterance_id, item.domain, item.rank, [arm.value for arm in item.arms], item.composition,
             item.inclusion_probability.hex(), None if item.score is None else float(item.score).hex()],
            ensure_ascii=False,
        )
        for item in items
    ]  # fmt: skip
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def pack_ids(ids: NDArray[np.int64]) -> bytes:
    return zlib.compress(np.diff(ids, prepend=0).astype("<i8").tobytes())


def unpack_ids(packed: bytes) -> NDArray[np.int64]:
    return np.cumsum(np.frombuffer(zlib.decompress(packed), dtype="<i8"))

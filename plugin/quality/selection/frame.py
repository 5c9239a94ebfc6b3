"""The frame of a round: everything that may enter it, in one canonical order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
HASHED_ROWS = 8192  # of a feature at a time, so that hashing needs no second copy of it
Cell = TypeVar("Cell", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Frame:
    """The eligible utterances of a round.

    ids      (N,) int64, distinct
    domains  (N,) str, the hypothesised domain, whose queue the utterance belongs to
    scores   name -> (N,) float, computed with in float64; NaN where there is none, refused only in the
             column that ranks; `label_error`, in [0, 1], is how suspected the record's domain is, 0 or NaN not at all
    features name -> (N, F) float of any precision, for the strategies that compare utterances with each
             other: `domain_probs`, `intent_probs` (means over replicates), `slot_mass`, `embedding`
    """

    ids: Int
    domains: NDArray[np.str_]
    scores: Mapping[str, NDArray[np.floating[Any]]]
    features: Mapping[str, NDArray[np.floating[Any]]] = field(default_factory=dict)


def canonical(frame: Frame) -> Frame:
    """The same frame with rows by ascending id and columns by name, checked.

    Raises:
        ValueError: an id twice, ids that are not integers, or columns of different lengths.

    >>> canonical(Frame(np.array([2, 1]), np.array(["b", "a"]), {})).domains.tolist()
    ['a', 'b']
    """
    ids = np.asarray(frame.ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(f"frame ids must be integers of shape (N,), not {ids.dtype} of shape {ids.shape}")
    order = np.argsort(ids, kind="stable")
    ids = ids[order].astype(np.int64)
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if twice.size:
        raise ValueError(f"frame holds id {ids[twice[0]]} twice: an utterance enters a round once")
    domains = _column(np.asarray(frame.domains, dtype=np.str_), "domains", order)
    scores = {
        name: _column(np.asarray(frame.scores[name], dtype=np.float64), f"scores[{name!r}]", order)
        for name in sorted(frame.scores)
    }
    features = {name: _matrix(frame.features[name], name, order) for name in sorted(frame.features)}
    return Frame(ids, domains, scores, features)


def frame_hash(frame: Frame) -> str:
    """SHA-256 over a canonical byte form of the frame; the order of rows and columns does not matter.

    The form: the number of rows; the ids as little-endian int64; the distinct domains, sorted, in
    length-prefixed UTF-8; each row's index into them; per column its name and little-endian float64 with
    one NaN and one zero; per feature, where there are any, its name, its width and little-endian float32.

    Args:
        frame: N rows.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: an id twice, or columns of different lengths.

    >>> a = Frame(np.array([1, 2]), np.array(["x", "y"]), {"entropy": np.array([0.0, 0.5])})
    >>> b = Frame(np.array([2, 1]), np.array(["y", "x"]), {"entropy": np.array([0.5, -0.0])})
    >>> frame_hash(a) == frame_hash(b)
    True
    """
    rows = canonical(frame)
    names, code = factorize(rows.domains)
    digest = hashlib.sha256(b"assay-frame-1\0")
    digest.update(rows.ids.size.to_bytes(8, "little"))
    digest.update(rows.ids.astype("<i8").tobytes())
    digest.update(len(names).to_bytes(8, "little"))
    for name in names:
        digest.update(_text(name))
    digest.update(code.astype("<i8").tobytes())
    for column, values in rows.scores.items():
        digest.update(_text(column))
        plain = np.where(np.isnan(values), np.nan, values + 0.0)  # -0.0 + 0.0 is 0.0
        digest.update(plain.astype("<f8").tobytes())
    for feature, matrix in rows.features.items():
        digest.update(b"feature\0" + _text(feature) + matrix.shape[1].to_bytes(8, "little"))
        for start in range(0, len(matrix), HASHED_ROWS):
            block = matrix[start : start + HASHED_ROWS].astype("<f4")
            digest.update(np.where(np.isnan(block), np.float32(np.nan), block + np.float32(0.0)).tobytes())
    return digest.hexdigest()


def factorize(domains: NDArray[np.str_]) -> tuple[list[str], Int]:
    """The distinct domains, sorted, and each row's index into them, (N,). Far faster than sorting strings.

    >>> names, code = factorize(np.array(["b", "a", "b"]))
    >>> names, code.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    rows: list[str] = domains.tolist()
    names = sorted(set(rows))
    index = {name: number for number, name in enumerate(names)}
    return names, np.fromiter((index[name] for name in rows), dtype=np.int64, count=len(rows))


def _column(values: NDArray[Cell], name: str, order: Int) -> NDArray[Cell]:
    if values.shape != order.shape:
        raise ValueError(f"frame {name} has shape {values.shape}, ids have {order.shape}")
    return values[order]


def _matrix(values: NDArray[np.floating[Any]], name: str, order: Int) -> NDArray[np.floating[Any]]:
    matrix = np.asarray(values)
    if matrix.ndim != 2 or len(matrix) != order.size or matrix.dtype.kind != "f":
        raise ValueError(
            f"frame features[{name!r}] must be floats of shape ({order.size}, F), "
            f"not {matrix.dtype} of shape {matrix.shape}"
        )
    return matrix if (order[1:] > order[:-1]).all() else matrix[order]  # in order already: no second copy of it


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(8, "little") + encoded

"""Distances on whole numbers are exact: the same in any order of summation, so on any machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plugin.quality.selection.points import NORM_BITS, OuterProducts, Points, Space, on_grid

vectors = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 9)),
    elements=st.one_of(st.floats(-1e9, 1e9), st.floats(-1e-9, 1e-9), st.floats(-1e-320, 1e-320)),
)


def whole(points: Points) -> list[list[int]]:
    return [[int(value) for value in row] for row in points.coordinates]


def squared(a: list[int], b: list[int]) -> int:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


@given(vectors)
def test_distances_are_those_of_whole_numbers(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    points = Points(values)
    rows = whole(points)
    origin = [0] * values.shape[1]
    assert points.norms.tolist() == [squared(row, origin) for row in rows]
    assert points.norms.max() <= 2 ** (2 * NORM_BITS)
    for number, row in enumerate(rows):
        assert points.squared_distances(np.array([number]))[:, 0].tolist() == [squared(row, other) for other in rows]


@given(vectors)
def test_the_grid_is_as_fine_as_it_may_be_and_moves_no_coordinate_by_more_than_half_a_step(
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> None:
    grid, unit = on_grid(values)
    assert np.abs(grid.astype(np.float64) - values * unit).max() <= 0.5
    finer = np.rint(values * unit * 2.0)
    if unit < 2.0**1000 and values.any():
        assert (finer**2).sum(axis=1).max() > 2.0 ** (2 * NORM_BITS)


def test_no_partial_sum_leaves_the_whole_numbers_of_float32() -> None:
    """The longest vectors that the grid lets through, many coordinates wide: still exact, whatever BLAS does."""
    rng = np.random.default_rng(0)
    points = Points(rng.normal(size=(200, 3000)) * rng.choice([1e-3, 1.0], size=(200, 1)))
    exact = points.coordinates.astype(np.int64)
    for row in (0, 7, 199):
        np.testing.assert_array_equal(points.dots(np.array([row]))[:, 0], exact @ exact[row])


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_coordinates_changes_no_distance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((50, 257))
    order = rng.permutation(257)
    some = np.array([3, 40])
    np.testing.assert_array_equal(
        Points(values).squared_distances(some), Points(values[:, order]).squared_distances(some), strict=True
    )


def test_outer_products_have_the_distances_of_the_matrices_written_out() -> None:
    rng = np.random.default_rng(1)
    left, right = Points(rng.normal(size=(30, 4))), Points(rng.normal(size=(30, 6)))
    space: Space = OuterProducts(left, right)
    matrices = [
        np.outer(a, b).astype(object)
        for a, b in zip(left.coordinates.astype(np.int64), right.coordinates.astype(np.int64), strict=True)
    ]
    for row in range(30):
        written_out = [int(((matrices[row] - other) ** 2).sum()) >> 8 for other in matrices]
        assert space.squared_distances(np.array([row]))[:, 0].tolist() == written_out
    assert max(space.squared_distances(np.array([0])).max(), space.norms.max()) <= 2**space.square_bits


def test_all_zero_vectors_lie_at_the_origin() -> None:
    points = Points(np.zeros((3, 2)))
    assert points.norms.tolist() == points.squared_distances(np.array([1]))[:, 0].tolist() == [0, 0, 0]

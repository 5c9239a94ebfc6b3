"""Codes for what comes in between what is served."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.label_studio.queues import RANK_GAP
from plugin.services.queues.codes import START, fit, fresh


@given(st.lists(st.booleans(), max_size=60), st.booleans())
def test_what_is_served_keeps_its_code_and_all_ascend(places: list[bool], has_end: bool) -> None:
    """True: served already."""
    there = iter(fresh(sum(places)))
    codes = [next(there) if is_there else None for is_there in places]
    end = START + 100 * RANK_GAP if has_end else None
    filled = fit(codes, end)
    assert [code for code, old in zip(filled, codes, strict=True) if old is not None] == fresh(sum(places))
    assert all(left < right for left, right in pairwise(filled))
    assert all(0 < code <= 1 for code in filled)
    assert end is None or not filled or filled[-1] < end


def test_a_stream_of_harder_and_harder_ones_finds_room_at_the_front() -> None:
    codes = fresh(10)
    for _ in range(2000):
        codes = fit([None, *codes])
    assert codes[0] > START / 2


def test_a_gap_that_is_used_up_asks_for_a_new_order() -> None:
    first, last = fresh(2)
    halvings = 0
    while first < (first + last) / 2 < last:
        last = fit([first, None, last])[1]
        halvings += 1
    assert halvings > 25
    with pytest.raises(ValueError, match="order the whole queue anew"):
        fit([first, None, last])

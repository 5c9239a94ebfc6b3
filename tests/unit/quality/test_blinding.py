from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from plugin.quality.selection import is_blind, is_overlap

N = 20_000


def drawn(seed: int, share: float) -> list[bool]:
    return [is_blind(seed, utterance_id, share) for utterance_id in range(N)]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_share_is_kept(share: float) -> None:
    assert binomtest(sum(drawn(7, share)), N, share).pvalue > 1e-4


def test_nobody_is_blind_at_0_and_everybody_at_1() -> None:
    assert not any(drawn(7, 0.0))
    assert all(drawn(7, 1.0))


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    assert all(more >= fewer for fewer, more in zip(drawn(7, 0.05), drawn(7, 0.2), strict=True))


def test_seeds_draw_independently() -> None:
    one, other = np.array(drawn(1, 0.5)), np.array(drawn(2, 0.5))
    cells = np.bincount(2 * one + other, minlength=4)
    assert chisquare(cells).pvalue > 1e-4


def test_the_draw_stays_as_it_is_on_every_machine() -> None:
    assert [utterance_id for utterance_id in range(60) if is_blind(3, utterance_id, 0.1)] == [3, 6, 22, 34, 44]


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_overlap_is_a_draw_of_its_own(share: float) -> None:
    blind = np.array(drawn(7, share))
    overlap = np.array([is_overlap(7, utterance_id, share) for utterance_id in range(N)])
    assert binomtest(int(overlap.sum()), N, share).pvalue > 1e-4
    assert binomtest(int((blind & overlap).sum()), N, share**2).pvalue > 1e-4
    assert [utterance_id for utterance_id in range(60) if is_overlap(3, utterance_id, 0.1)] == [9, 10, 24, 34, 59]

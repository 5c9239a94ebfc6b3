"""The checks of what a team was served can fail."""

from __future__ import annotations

import pytest

from plugin.label_studio.payloads import DrawnTask
from tests.e2e.team import Draw, behind, overtaken, tau, worst_share


def draw(utterance_id: int, began: float, ended: float) -> Draw:
    return Draw(0, DrawnTask(utterance_id + 100, utterance_id, "text", None, None), began, ended)


def test_who_asks_at_the_same_time_is_served_in_either_order_and_no_one_else() -> None:
    one, other, late = draw(1, 0.0, 2.0), draw(2, 0.5, 1.0), draw(3, 3.0, 4.0)
    assert overtaken([other, one, late], [1, 2, 3]) == []
    assert overtaken([other, one, late], [3, 1, 2]) == [2]
    assert overtaken([], []) == []
    assert overtaken([other, one, late], [1, 3, 2]) == [1]


def test_what_was_left_out_before_each_draw_is_counted() -> None:
    draws = [draw(number, at, at + 1) for at, number in enumerate([2, 1, 5])]
    assert behind(draws, [1, 2, 3, 4, 5]) == [1, 0, 2]
    assert behind(draws[1:], [1, 2, 3, 4, 5], done=draws[:1]) == [0, 2]
    assert behind(draws, [5, 1, 2]) == [2, 1, 0]


def test_tau_is_by_when_tasks_were_there() -> None:
    draws = [draw(number, number, number + 1) for number in range(4)]
    assert tau(draws, [0, 1, 2, 3]) == pytest.approx(1)
    assert tau(draws, [3, 2, 1, 0]) == pytest.approx(-1)


def test_the_worst_share_is_that_of_any_prefix() -> None:
    part = {1: "control", 2: "hard", 3: "hard", 4: "control"}
    assert worst_share([1, 2, 3, 4], part) == 0.5
    assert worst_share([1, 4, 2, 3], part) == 1

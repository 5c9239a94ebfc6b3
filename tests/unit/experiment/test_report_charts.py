"""Figures: what they show, and that labels do not cover each other."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.experiment.report import charts
from plugin.experiment.report.colours import DARK, KNOWN, MUTED, SERIES, styles

ROWS = [
    charts.Row("default", -0.10, -0.12, -0.08, "−10.0 %", "#0067a8"),
    charts.Row("entropy", 0.01, -0.02, 0.03, "+1.0 %", "#c8500a", "square", is_clear=False),
]
LINES = [
    charts.Line("random", [(0.0, 0.3, None, None), (0.4, 0.2, None, None)], MUTED, is_dashed=True),
    charts.Line("default", [(0.05, 0.27, 0.26, 0.28), (0.1, 0.24, 0.23, 0.25)], "#0067a8"),
]  # fmt: skip


def texts(svg: str) -> list[str]:
    return [node.text for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text") if node.text]  # noqa: S314


def forest() -> str:
    return charts.forest(ROWS, title="DCER: whole pool", domain=(-0.15, 0.05), band=(-0.01, 0.02), target=-0.1)


def curve() -> str:
    ticks = {0.0: "0", 0.05: "5 %", 0.1: "10 %", 0.4: "40 %"}
    return charts.lines(
        LINES, title="DCER", ticks=ticks, y_format=charts.SHARE, y_domain=(0.15, 0.35), x_title="budget"
    )


def test_a_forest_names_its_rows_and_their_values() -> None:
    assert {"DCER", "whole pool", "default", "entropy", "−10.0 %", "+1.0 %", "−10\u00a0%", "0"} <= set(texts(forest()))


def test_a_point_that_is_not_clear_is_hollow() -> None:
    filled = re.findall(r'fill="(#\w+)" stroke="(#\w+)" stroke-width="2"', forest())
    assert ("#0067a8", "#0067a8") in filled
    assert ("#ffffff", "#c8500a") in filled


def test_the_noise_floor_and_the_target_are_drawn_where_they_are_given() -> None:
    plain = charts.forest(ROWS, title="DCER", domain=(-0.15, 0.05))
    assert forest().count('stroke-dasharray="3,3"') == 1
    assert 'stroke-dasharray="3,3"' not in plain
    assert plain.count("#c9d0da") == 0 < forest().count("#c9d0da")


def test_a_target_outside_the_figure_is_left_out() -> None:
    assert 'stroke-dasharray="3,3"' not in charts.forest(ROWS, title="DCER", domain=(-0.15, 0.05), target=-0.5)


def test_lines_are_named_at_their_end_and_ticks_as_they_are_given() -> None:
    found = texts(curve())
    assert {"random", "default", "0", "5 %", "10 %", "40 %", "budget"} <= set(found)
    assert "20\u00a0%" in found


def test_only_what_has_an_interval_has_a_band() -> None:
    assert curve().count('opacity="0.13"') == 1
    assert curve().count('stroke-dasharray="5,4"') == 1


def test_figures_have_one_width_and_no_ids_in_common() -> None:
    one, other = forest(), curve()
    assert {ElementTree.fromstring(svg).get("width") for svg in (one, other)} == {charts.FIGURE_WIDTH}  # noqa: S314
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert all(ids)
    assert not ids[0] & ids[1]
    for svg, own in zip((one, other), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= own


def test_a_figure_of_its_own_has_paper_and_dark_colours() -> None:
    alone = charts.standalone(forest())
    ElementTree.fromstring(alone)  # noqa: S314
    assert alone.index("<style>") < alone.index("<rect") < alone.index("<g")
    for light, dark in {**DARK, **SERIES}.items():
        assert f'[fill="{light}"]{{fill:{dark}}}' in alone


def test_every_colour_of_a_figure_has_one_for_the_dark() -> None:
    known = {*DARK, *SERIES}
    for svg in (forest(), curve()):
        used = set(re.findall(r'(?:fill|stroke)="(#\w+)"', svg))
        assert used <= known


@given(st.lists(st.floats(0.0, 1.0), max_size=8), st.integers(120, 300))
def test_labels_keep_their_distance_and_their_order(values: list[float], height: int) -> None:
    places = charts.spaced(values, (0.0, 1.0), height)
    gap = charts.LABEL_GAP / height
    order = sorted(range(len(values)), key=lambda at: (values[at], at))
    for lower, upper in pairwise(order):
        assert places[upper] - places[lower] >= gap - 1e-6


@given(st.floats(0.2, 0.8))
def test_a_label_with_room_stays_where_it_is(value: float) -> None:
    assert charts.spaced([value], (0.0, 1.0), 190) == pytest.approx([value], abs=1e-8)


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=6))
def test_a_domain_holds_its_values_and_zero(values: list[float]) -> None:
    low, high = charts.padded(values)
    assert low < min(values) + 1e-12
    assert high > max(values) - 1e-12
    assert low < 0.0 < high


def test_known_arms_always_have_their_colour_and_no_two_of_them_share_one() -> None:
    alone, among = styles(["entropy"]), styles(["a", "b", "entropy", "default", "el2n-10-90", "el2n-hard"])
    assert alone["entropy"] == among["entropy"]
    assert len({among[arm] for arm in (*KNOWN, "a", "b", "random")}) == 7

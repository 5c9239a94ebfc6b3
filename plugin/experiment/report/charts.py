"""Two kinds of figure, as Vega-Lite specifications, drawn to SVG without a browser.

`forest`: one row per arm, a point with its interval. `lines`: one line per arm with its band, labelled at its
end. The same input gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from plugin.experiment.report.colours import BAND, GRID, INK, MUTED, PAPER, swap_to_dark

VEGA_LITE = "5.20"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
FIGURE_WIDTH = "400"
ROW = 30
LINE_HEIGHT = 190
LABEL_GAP = 13  # pixels between two labels at the ends of lines
CHARACTER = 6.4  # pixels, about
SIGNED = "abs(datum.value) < 1e-9 ? '0' : format(100 * datum.value, '+.3~') + '\u00a0%'"
SHARE = "format(100 * datum.value, '.3~') + '\u00a0%'"
Spec = dict[str, Any]


class NoDrawingError(Exception):
    """What draws figures is not installed; the message says how to."""


@dataclass(frozen=True, slots=True)
class Row:
    """Of a forest. `is_clear`: the interval is off zero, so the point is filled."""

    label: str
    value: float
    low: float | None
    high: float | None
    text: str
    colour: str
    shape: str = "circle"
    is_clear: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """x, y and, where there is one, the band of every point."""

    label: str
    points: Sequence[tuple[float, float, float | None, float | None]]
    colour: str
    shape: str = "circle"
    is_dashed: bool = False


def forest(
    rows: Sequence[Row],
    *,
    title: str,
    domain: tuple[float, float],
    band: tuple[float, float] | None = None,
    target: float | None = None,
    width: int = 250,
) -> str:
    """Points with intervals about a zero line, a value at the end of each row; `band` is the noise floor."""
    order = [row.label for row in rows]
    y = {"field": "label", "type": "nominal", "sort": order, "axis": _names_axis(order)}
    x = _quantity("value", domain, SIGNED)
    layers: list[Spec] = []
    if band:
        ends = {"x": {**_quantity("low", domain, SIGNED)}, "x2": {"field": "high"}}
        layers.append({"data": _data([{"low": band[0], "high": band[1]}]), "mark": _rect(), "encoding": ends})
    layers.append(_rule({"x": _at(0.0, domain)}, INK, 1.2))
    if target is not None and domain[0] < target < domain[1]:
        layers.append(_rule({"x": _at(target, domain)}, MUTED, 1.0, dash=[3, 3]))
    for row in rows:
        layers += _forest_row(row, x, y, domain, width)
    spec = {"width": width, "height": ROW * len(rows), "title": _title(title), "layer": layers}
    return _draw(spec, [row.text for row in rows])


def lines(
    series: Sequence[Line],
    *,
    title: str,
    ticks: Mapping[float, str],
    y_format: str = SIGNED,
    y_domain: tuple[float, float],
    x_title: str = "",
    zero: bool = False,
    width: int = 265,
) -> str:
    """Lines with bands over labelled ticks, each named at its end."""
    x_domain = (min(ticks), max(ticks))
    x = {
        "field": "x", "type": "quantitative", "scale": {"domain": list(x_domain), "nice": False},
        "axis": {
            "values": list(ticks), "labelExpr": _lookup(ticks), "title": x_title or None, "grid": False,
            "labelOverlap": False,
        },
    }  # fmt: skip
    y = {**_quantity("y", y_domain, y_format), "axis": _axis(y_format, count=5)}
    layers: list[Spec] = []
    if zero:
        layers.append(_rule({"y": _at(0.0, y_domain)}, INK, 1.2))
    ends = spaced([line.points[-1][1] for line in series], y_domain, LINE_HEIGHT)
    for line, end in zip(series, ends, strict=True):
        layers += _line(line, x, y, end, x_domain, y_domain, width)
    spec = {"width": width, "height": LINE_HEIGHT, "title": _title(title), "layer": layers}
    return _draw(spec, [line.label for line in series])


def spaced(values: Sequence[float], domain: tuple[float, float], height: int) -> list[float]:
    """Where labels of these heights go so that none covers another, in the same order and unit.

    >>> spaced([0.5, 0.5], (0.0, 1.0), 130)
    [0.45, 0.55]
    """
    if not values:
        return []
    gap = LABEL_GAP / height * (domain[1] - domain[0])

    def bottom(cluster: Sequence[int]) -> float:
        """Of labels spread about their mean, all within the domain."""
        reach = gap * (len(cluster) - 1)
        middle = sum(values[at] for at in cluster) / len(cluster)
        return max(domain[0], min(middle - reach / 2, domain[1] - reach))

    # Labels that would touch form a cluster; clusters that then touch become one.
    clusters: list[list[int]] = []
    for at in sorted(range(len(values)), key=lambda at: (values[at], at)):
        clusters.append([at])
        while len(clusters) > 1 and bottom(clusters[-2]) + gap * len(clusters[-2]) > bottom(clusters[-1]) + 1e-12:
            last = clusters.pop()
            clusters[-1] += last
    places = list(values)
    for cluster in clusters:
        for step, at in enumerate(cluster):
            places[at] = round(bottom(cluster) + step * gap, 9)
    return places


def padded(values: Sequence[float], *, zero: bool = True, share: float = 0.08) -> tuple[float, float]:
    """A domain that holds the values with some room, and zero if it must.

    >>> padded([-0.1, 0.02], share=0.0)
    (-0.1, 0.02)
    """
    held = [*values, 0.0] if zero or not values else list(values)
    low, high = min(held), max(held)
    room = share * (high - low) or 0.01
    return (low - (room if share else 0.0), high + (room if share else 0.0))


def standalone(svg: str) -> str:
    """A file of its own: with its paper, and dark where the reader's page is dark."""
    style = f"<style>@media (prefers-color-scheme: dark){{{swap_to_dark()}}}</style>"
    paper = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return re.sub(r"(<svg[^>]*>)", lambda found: found[1] + style + paper, svg, count=1)


def _forest_row(row: Row, x: Spec, y: Spec, domain: tuple[float, float], width: int) -> list[Spec]:
    values = {"label": row.label, "value": row.value, "low": row.low, "high": row.high, "text": row.text}
    data = _data([values])
    layers: list[Spec] = []
    if row.low is not None and row.high is not None:
        layers.append({
            "data": data,
            "mark": {"type": "rule", "color": row.colour, "strokeWidth": 2.5, "strokeCap": "round", "clip": True},
            "encoding": {"x": _quantity("low", domain, SIGNED), "x2": {"field": "high"}, "y": y},
        })  # fmt: skip
    point = _point(row.colour, row.shape, filled=row.is_clear, size=80)
    layers.append({"data": data, "mark": point, "encoding": {"x": x, "y": y}})
    text = {"type": "text", "align": "left", "fontSize": 12, "fontWeight": 600, "color": INK}
    layers.append(
        {"data": data, "mark": text, "encoding": {"x": {"value": width + 8}, "y": y, "text": {"field": "text"}}}
    )
    return layers


def _line(
    line: Line,
    x: Spec,
    y: Spec,
    label_y: float,
    x_domain: tuple[float, float],
    y_domain: tuple[float, float],
    width: int,
) -> list[Spec]:
    rows = [{"x": at, "y": value, "low": low, "high": high} for at, value, low, high in line.points]
    layers: list[Spec] = []
    banded = [row for row in rows if row["low"] is not None and row["high"] is not None]
    if len(banded) > 1:
        area = {"type": "area", "orient": "vertical", "color": line.colour, "opacity": 0.13, "clip": True}
        low = {**y, "field": "low"}
        layers.append({"data": _data(banded), "mark": area, "encoding": {"x": x, "y": low, "y2": {"field": "high"}}})
    stroke: Spec = {"type": "line", "color": line.colour, "strokeWidth": 2.2, "strokeJoin": "round"}
    if line.is_dashed:
        stroke["strokeDash"] = [5, 4]
    layers.append({"data": _data(rows), "mark": stroke, "encoding": {"x": x, "y": y}})
    layers.append({"data": _data(rows), "mark": _point(line.colour, line.shape), "encoding": {"x": x, "y": y}})
    last_x, last_y = line.points[-1][:2]
    leader = [{"x": last_x, "y": last_y}, {"x": x_domain[1], "y": label_y}]
    if last_x < x_domain[1]:
        dots = {"type": "line", "color": line.colour, "strokeWidth": 1, "strokeDash": [1, 3], "opacity": 0.8}
        layers.append({"data": _data(leader), "mark": dots, "encoding": {"x": x, "y": y}})
    text = {"type": "text", "align": "left", "fontSize": 12, "fontWeight": 600, "color": line.colour}
    at = {**_quantity("y", y_domain, SIGNED), "axis": y["axis"]}
    encoding = {"x": {"value": width + 9}, "y": at, "text": {"field": "label"}}
    layers.append({"data": _data([{"y": label_y, "label": line.label}]), "mark": text, "encoding": encoding})
    return layers


def _data(rows: Sequence[Mapping[str, Any]]) -> Spec:
    return {"values": [dict(row) for row in rows]}


def _quantity(field: str, domain: tuple[float, float], labels: str) -> Spec:
    scale = {"domain": list(domain), "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "stack": None, "scale": scale, "axis": _axis(labels)}


def _axis(labels: str, count: int = 4) -> Spec:
    return {"labelExpr": labels, "title": None, "tickCount": count, "grid": True}


def _names_axis(names: Sequence[str]) -> Spec:
    extent = max((len(name) for name in names), default=0) * CHARACTER + 8
    return {
        "title": None, "ticks": False, "domain": False, "labelColor": INK, "labelFontSize": 12, "labelLimit": 160,
        "minExtent": min(extent, 160), "labelPadding": 8,
    }  # fmt: skip


def _at(value: float, domain: tuple[float, float]) -> Spec:
    return {"datum": value, "type": "quantitative", "scale": {"domain": list(domain), "nice": False, "zero": False}}


def _rule(encoding: Spec, colour: str, width: float, dash: Sequence[int] = ()) -> Spec:
    mark: Spec = {"type": "rule", "color": colour, "strokeWidth": width}
    return {"data": _data([{}]), "mark": {**mark, "strokeDash": list(dash)} if dash else mark, "encoding": encoding}


def _rect() -> Spec:
    return {"type": "rect", "color": BAND, "opacity": 0.45, "clip": True}


def _point(colour: str, shape: str, *, filled: bool = True, size: int = 48) -> Spec:
    return {
        "type": "point", "shape": shape, "size": size, "fill": colour if filled else PAPER, "stroke": colour,
        "strokeWidth": 2, "opacity": 1, "clip": False,
    }  # fmt: skip


def _title(text: str) -> Spec:
    """What stands after a colon is the smaller second line."""
    first, _, second = text.partition(": ")
    return {
        "text": first, "subtitle": second, "anchor": "start", "frame": "bounds", "fontSize": 13, "fontWeight": 650,
        "color": INK, "subtitleFontSize": 12, "subtitleColor": MUTED, "subtitlePadding": 3, "offset": 12,
    }  # fmt: skip


def _lookup(ticks: Mapping[float, str]) -> str:
    """An expression that names each tick; the nearest, since ticks are fractions."""
    text = "''"
    for value, label in ticks.items():
        text = f"abs(datum.value - {value!r}) < 1e-9 ? {label!r} : {text}"
    return text


def _draw(spec: Spec, at_the_right: Sequence[str]) -> str:
    """`at_the_right`: texts beside the plot; the reader's font may be wider than the one that was measured here."""
    try:
        import vl_convert  # an extra: the rest of Assay does without
    except ImportError:
        raise NoDrawingError(
            "the report's figures need an extra: pip install 'assay-label-studio[experiment]'"
        ) from None
    config = {
        "font": FONT,
        "background": None,
        "padding": {"left": 6, "top": 6, "bottom": 6, "right": 8 + 1.6 * max(map(len, at_the_right), default=0)},
        "view": {"stroke": None},
        "axis": {
            "labelColor": MUTED, "titleColor": MUTED, "gridColor": GRID, "domainColor": GRID, "tickColor": GRID,
            "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": 400, "labelPadding": 5, "labelFlush": False,
        },
    }  # fmt: skip
    return _plain(vl_convert.vegalite_to_svg({**spec, "config": config}, VEGA_LITE))


def _plain(svg: str) -> str:
    """As an inline figure: scales with its column, shares no id with another, says no more than it shows."""
    width, height = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg).groups()  # type: ignore[union-attr]
    ids = list(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg)))
    for number, name in enumerate(ids):
        svg = svg.replace(f'id="{name}"', f'id="@-{number}"').replace(f"url(#{name})", f"url(#@-{number})")
    prefix = f"f{sha256(svg.encode()).hexdigest()[:8]}"
    svg = svg.replace('id="@-', f'id="{prefix}-').replace("url(#@-", f"url(#{prefix}-")
    svg = re.sub(r' (?:aria-[a-z]+|role|class|xmlns:xlink|pointer-events)="[^"]*"', "", svg)
    # All of one width, so that on a page all have one scale.
    width = max(width, FIGURE_WIDTH, key=float)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return re.sub(r"<svg[^>]*>", head, svg, count=1)

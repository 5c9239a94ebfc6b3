"""Sections about budgets: every setting, learning curves, labels saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.curves import Curve, LabelsSaved
from plugin.experiment.analysis.names import label
from plugin.experiment.analysis.results import NOTHING, Setting
from plugin.experiment.report import charts, formats
from plugin.experiment.report.document import Cell, Figure, Figures, Part, Section, Table
from plugin.experiment.report.parts import (
    AA,
    BOTH,
    DCER,
    N,
    Painter,
    Rows,
    arm_row,
    line_figure,
    lower,
    of_arm,
    plain_row,
    setting_words,
)


def settings(analysis: Analysis, painter: Painter) -> Section | None:
    """Relative change over budgets, for both kinds of labels and every pool."""
    found = _core_settings(analysis)
    if len(found) < 2:
        return None
    figures = [figure for place in _places(found) for figure in _over_budgets(analysis, painter, place, found)]
    rows: Rows = []
    for setting in found:
        rows.append([Cell(setting_words(setting))])
        rows += [arm_row(analysis, setting, item.arm) for item in analysis.of(setting, DCER)]
        if floors := [floor for metric in BOTH if (floor := analysis.floor(setting, metric))]:
            rows.append(plain_row(AA, floors, "random"))
    columns = ["against random", *(formats.metric_name(metric, arrow=True) for metric in BOTH)]
    columns += [*(f"labels saved, {formats.metric_name(metric)}" for metric in BOTH), N]
    summary = f"All {len(found)} settings as a table" if figures else ""
    parts: list[Part] = [Table(columns, rows, "As the table of the comparison named beforehand.", summary)]
    if figures:
        parts.insert(
            0, Figures(figures, "Relative change against random at the same budget; the band is its interval.")
        )
    return Section("settings", "Every setting: labels, pool, budget", parts)


def _over_budgets(analysis: Analysis, painter: Painter, place: Setting, found: Sequence[Setting]) -> list[Figure]:
    mine = [setting for setting in found if replace(setting, budget=NOTHING) == place]
    if len(mine) < 2:
        return []
    every = [item for setting in found for metric in BOTH for item in analysis.of(setting, metric)]
    domain = charts.padded([end for item in every for end in (item.change.low, item.change.high, item.change.value)
                            if end is not None])  # fmt: skip
    ticks = {float(at): formats.budget(setting.budget) for at, setting in enumerate(mine)}
    figures = []
    for metric in BOTH:
        series = []
        for arm in analysis.arms:
            points = [
                (float(at), change.value, change.low, change.high)
                for at, setting in enumerate(mine)
                if (change := of_arm(analysis.of(setting, metric), arm, metric))
            ]
            if points:
                series.append(painter.line(arm, points))
        title = f"{formats.metric_name(metric)}: {lower(setting_words(place, with_budget=False))}"
        if series:
            svg = charts.lines(series, title=title, ticks=ticks, y_domain=domain, zero=True, x_title="budget")
            name = f"budgets-{place.labels}-{place.pool}-{metric}"
            figures.append(line_figure(name, svg, title, series))
    return figures


def curves(analysis: Analysis, painter: Painter) -> Section | None:
    """Absolute error over budgets, and everything added."""
    figures = [
        figure
        for (place, metric), curve in analysis.curves.items()
        if place.corpus == analysis.primary.corpus and len(curve.budgets) > 2
        for figure in [_curve(analysis, painter, place, metric, curve)]
    ]
    if not figures:
        return None
    caption = (
        "Random: its mean rate over the pairs that were run at every budget (n in the title). The others: random's "
        "rate times their paired relative change, so that the band is the interval of the difference to random."
    )
    return Section("curves", "Learning curves", [Figures(figures, caption)])


def _curve(analysis: Analysis, painter: Painter, place: Setting, metric: str, curve: Curve) -> Figure:
    base = dict(zip(curve.budgets, curve.rates, strict=True))
    series = [painter.line("random", [(at, rate, None, None) for at, rate in base.items()], "random")]
    for arm in analysis.arms:
        points: list[tuple[float, float, float | None, float | None]] = []
        for at, rate in base.items():
            change = of_arm(analysis.of(replace(place, budget=at), metric), arm, metric)
            if change:
                low, high = (None if end is None else rate * (1.0 + end) for end in (change.low, change.high))
                points.append((at, rate * (1.0 + change.value), low, high))
        if points:
            series.append(painter.line(arm, points))
    heights = [end for line in series for point in line.points for end in point[1:] if end is not None]
    title = f"{formats.metric_name(metric)}: {lower(setting_words(place, with_budget=False))}, n = {curve.pairs}"
    svg = charts.lines(
        series, title=title, ticks={at: formats.budget(at) if at else "0" for at in base}, y_format=charts.SHARE,
        y_domain=charts.padded(heights, zero=False), x_title=_budget_title(curve),
    )  # fmt: skip
    return line_figure(f"curve-{place.labels}-{place.pool}-{metric}", svg, title, series)


def _budget_title(curve: Curve) -> str:
    whole = "" if curve.everything is None else f"; all of it: {formats.percent(curve.everything)}"
    return f"budget, of the pool{whole}"


def saved(analysis: Analysis, painter: Painter) -> Section | None:
    """Labels saved, arm by arm in the primary setting, and by locale."""
    mine = [item for item in analysis.saved if item.setting == analysis.primary]
    if not mine:
        return None
    panels = []
    for metric in BOTH:
        rows = [
            charts.Row(
                label(item.arm), item.saved, item.low, item.high, formats.saved(item), *painter.style(item.arm),
                item.low is not None and item.low > 0.0,
            )
            for item in mine if item.metric == metric and not item.worse_than_nothing
            and (item.low is None or item.low > -2.0)
        ]  # fmt: skip
        panels.append((f"Labels saved, {formats.metric_name(metric)}", rows))
    said = (
        f"At a budget of {formats.budget(analysis.primary.budget)}, how much would random choice need for the same "
        "error? 1 minus the budget over what random needs is the share of labels saved; below zero, random needs "
        f"fewer. Random's curve was measured up to {formats.budget(mine[0].largest)}, so beyond it there is only an "
        "'at least' (≥)."
    )
    figures = Figures(painter.forests("saved", panels), "Share of labels saved; right of zero is better.")
    return Section("saved", "Labels saved", [said, figures, _random_needs(mine), *_saved_by_locale(analysis)])


def _random_needs(found: Sequence[LabelsSaved]) -> Table:
    cells = {
        (item.arm, item.metric): Cell(
            f"{'> ' if item.at_least else ''}{formats.percent(item.equivalent)}", f"n{formats.SPACE}{item.pairs}"
        )
        for item in found
    }
    rows: Rows = [
        [label(arm), *(cells.get((arm, metric), "") for metric in BOTH)] for arm in dict.fromkeys(i.arm for i in found)
    ]
    return Table(["random needs", *(f"for the same {formats.metric_name(metric)}" for metric in BOTH)], rows)


def _saved_by_locale(analysis: Analysis) -> list[Table]:
    locales = list(dict.fromkeys(item.locale for item in analysis.saved_by_locale))
    if len(locales) < 2:
        return []
    found = {(item.arm, item.locale, item.metric): item for item in analysis.saved_by_locale}
    rows: Rows = []
    for arm in dict.fromkeys(item.arm for item in analysis.saved_by_locale):
        for metric in BOTH:
            items = [found.get((arm, locale, metric)) for locale in locales]
            cells = [Cell(formats.saved(item), formats.saved_spread(item)) for item in items]
            rows.append([f"{label(arm)}, {formats.metric_name(metric)}", *cells])
    return [Table(["labels saved", *(str(locale) for locale in locales)], rows, "Locale by locale.")]


def _core_settings(analysis: Analysis) -> list[Setting]:
    corpus = analysis.primary.corpus
    return list(dict.fromkeys(item.setting for item in analysis.comparisons if item.setting.corpus == corpus))


def _places(found: Sequence[Setting]) -> list[Setting]:
    return list(dict.fromkeys(replace(setting, budget=NOTHING) for setting in found))

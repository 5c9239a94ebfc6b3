"""Sections about the primary comparison."""

from __future__ import annotations

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.names import label
from plugin.experiment.report import charts, formats
from plugin.experiment.report.document import Cell, Figures, Part, Section, Table
from plugin.experiment.report.parts import (
    AA,
    BOTH,
    DCER,
    N,
    Painter,
    Rows,
    arm_row,
    change_cell,
    lower,
    of_arm,
    plain_row,
    setting_words,
)
from plugin.experiment.report.verdict import TARGETS
from plugin.quality.metrics import METRICS

ENDS = {"nothing": "nothing added", "everything": "everything added"}


def primary(analysis: Analysis, painter: Painter) -> Section:
    setting = analysis.primary
    floors = [analysis.floor(setting, metric) for metric in BOTH]
    panels = [(f"{formats.metric_name(metric)} against random", _rows(analysis, painter, metric)) for metric in BOTH]
    bands = [
        (floor.change.low, floor.change.high)
        if floor and floor.change.low is not None and floor.change.high is not None
        else None
        for floor in floors
    ]
    targets = [TARGETS[metric] if "default" in analysis.arms else None for metric in BOTH]
    figures = painter.forests("primary", panels, bands=bands, targets=targets)
    caption = (
        "Relative change against the mean of all random draws; left of zero is better. Bars: 95 % intervals over "
        "seeds. A filled point: off zero, and corrected p below 0.05. Grey: the noise floor, one random draw against "
        "the others." + (" Dashed: the target." if any(targets) else "")
    )
    return Section(
        "primary",
        f"The comparison named beforehand: {lower(setting_words(setting))}",
        [Figures(figures, caption), _primary_table(analysis), *_wide(analysis)],
    )


def _rows(analysis: Analysis, painter: Painter, metric: str) -> list[charts.Row]:
    found = sorted(analysis.of(analysis.primary, DCER), key=lambda item: item.change.value)
    by_arm = {item.arm: item.change for item in analysis.of(analysis.primary, metric)}
    return [painter.row(label(item.arm), by_arm[item.arm], item.arm) for item in found if item.arm in by_arm]


def _primary_table(analysis: Analysis) -> Table:
    found = sorted(analysis.of(analysis.primary, DCER), key=lambda item: item.change.value)
    rows = [arm_row(analysis, analysis.primary, item.arm) for item in found]
    floors = [floor for metric in BOTH if (floor := analysis.floor(analysis.primary, metric))]
    if floors:
        rows.append(plain_row(AA, floors, "random"))
    for arm, words in ENDS.items():
        if any(item.arm == arm for item in analysis.ends):
            rows.append(plain_row(words, analysis.ends, arm))
    columns = ["against random", *(formats.metric_name(metric, arrow=True) for metric in BOTH)]
    return Table(
        [*columns, *(f"labels saved, {formats.metric_name(metric)}" for metric in BOTH), N],
        rows,
        "Mean over pairs of locale and seed, its 95 % interval over seeds, and the sign-flip p, corrected over the "
        "strategies (Holm). Labels saved: how much smaller the budget is than what random choice needs for the same "
        "error. n: pairs, seeds × locales. Coloured: the interval is off zero and the corrected p below 0.05.",
    )


def _wide(analysis: Analysis) -> list[Part]:
    """Intervals that also resample the locales."""
    setting = analysis.primary
    arms = [item.arm for item in analysis.of(setting, DCER) if item.change.low_wide is not None]
    if not arms:
        return []
    rows: Rows = []
    for arm in arms:
        row: list[Cell | str] = [label(arm)]
        for metric in BOTH:
            change = of_arm(analysis.of(setting, metric), arm, metric)
            row.append(formats.spread(change.low_wide, change.high_wide) if change else formats.NONE)
        rows.append(row)
    said = (
        "**Would it hold in another locale?** The intervals above speak of these locales. Those below resample the "
        "locales as well, as if they had been drawn from many: wider, because there are few of them."
    )
    return [said, Table(["95 % over seeds and locales", *(formats.metric_name(m, arrow=True) for m in BOTH)], rows)]


def metrics(analysis: Analysis) -> Section:
    """Every metric in the primary setting."""
    setting = analysis.primary
    rows: Rows = []
    for arm in [item.arm for item in analysis.of(setting, DCER)]:
        changes = {metric: of_arm(analysis.of(setting, metric), arm, metric) for metric in METRICS}
        rows.append([label(arm), *(change_cell(changes[metric], metric, with_p=False) for metric in METRICS)])
    floors = {item.metric: item.change for item in analysis.floors if item.setting == setting}
    if floors:
        cells = (change_cell(floors.get(metric), metric, with_p=False) for metric in METRICS)
        rows.append([AA, *(Cell(cell.text, cell.under) for cell in cells)])
    columns = ["against random", *(formats.metric_name(metric, arrow=True) for metric in METRICS)]
    return Section("metrics", "Every metric", [Table(columns, rows, "Relative changes. ↓ lower is better, ↑ higher.")])

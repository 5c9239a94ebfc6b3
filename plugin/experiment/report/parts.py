"""What sections are made of: cells with their tone, tables of arms, figures of arms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.comparisons import Comparison
from plugin.experiment.analysis.intervals import ENOUGH_SEEDS, Change
from plugin.experiment.analysis.names import label
from plugin.experiment.analysis.results import NOTHING, Setting
from plugin.experiment.report import charts, formats
from plugin.experiment.report.colours import styles
from plugin.experiment.report.document import Cell, Figure, Tone
from plugin.quality.metrics import HIGHER_IS_BETTER

DCER, SEMER = "dcer", "semer"
BOTH = (DCER, SEMER)
N = "n"
AA = "random (A/A)"
Rows = list[list[Cell | str]]
LABELS_WORDS = {"reviewed": "reviewed labels", "weak": "weak labels"}
POOL_WORDS = {"whole": "whole pool", "window": "NLU-score window", "outside": "outside the window"}


def tone(change: Change | None, metric: str) -> Tone:
    """Good or bad only where the interval is off zero and the corrected p small, with seeds enough to say so."""
    if change is None or change.seeds < ENOUGH_SEEDS:
        return "muted"
    if not change.is_clear:
        return ""
    return "good" if (change.value > 0.0) is (metric in HIGHER_IS_BETTER) else "bad"


def change_cell(change: Change | None, metric: str, *, with_p: bool = True) -> Cell:
    if change is None:
        return Cell(formats.NONE, tone="muted")
    lines = [formats.change_spread(change)]
    if with_p:
        p = change.p if change.p_holm is None else change.p_holm
        lines.append(f"p{formats.SPACE}{formats.p_value(p)}")
    return Cell(formats.change(change), "\n".join(filter(None, lines)), tone(change, metric))


def n_cell(changes: Iterable[Change | None]) -> Cell:
    """Pairs, and of how many seeds and locales; the most of those in the row."""
    found = [change for change in changes if change]
    if not found:
        return Cell("0", tone="muted")
    most = max(found, key=lambda change: change.pairs)
    return Cell(f"{most.pairs}", f"{most.seeds} × {most.locales}", "muted" if most.seeds < ENOUGH_SEEDS else "")


def setting_words(setting: Setting, *, with_budget: bool = True) -> str:
    """A setting in a heading.

    >>> setting_words(Setting("massive", "whole", "weak", 0.0, 0.1)).replace("\\xa0", " ")
    'Weak labels, whole pool, 10 %'
    """
    if with_budget and setting.budget == NOTHING:
        return "Nothing added"
    words = [LABELS_WORDS.get(setting.labels, setting.labels), POOL_WORDS.get(setting.pool, setting.pool)]
    if with_budget:
        words.append(formats.budget(setting.budget))
    if setting.noise:
        words.append(f"{formats.percent(setting.noise, decimals=0)} noise")
    text = ", ".join(words)
    return text[:1].upper() + text[1:]


def of_arm(items: Iterable[Comparison], arm: str, metric: str) -> Change | None:
    return next((item.change for item in items if (item.arm, item.metric) == (arm, metric)), None)


def arm_row(analysis: Analysis, setting: Setting, arm: str) -> list[Cell | str]:
    changes = {metric: of_arm(analysis.of(setting, metric), arm, metric) for metric in BOTH}
    return [
        label(arm),
        *(change_cell(changes[metric], metric) for metric in BOTH),
        *(saved_cell(analysis, setting, arm, metric) for metric in BOTH),
        n_cell(changes.values()),
    ]


def plain_row(name: str, items: Sequence[Comparison], arm: str) -> list[Cell | str]:
    changes = {metric: of_arm(items, arm, metric) for metric in BOTH}
    shown = [change_cell(changes[metric], metric) for metric in BOTH]
    # What random does against itself, or other budgets do, is neither good nor bad of a strategy.
    return [name, *(Cell(cell.text, cell.under) for cell in shown), "", "", n_cell(changes.values())]


def saved_cell(analysis: Analysis, setting: Setting, arm: str, metric: str) -> Cell:
    found = analysis.labels_saved(setting, arm, metric)
    return Cell(formats.saved(found), formats.saved_spread(found), "" if found else "muted")


def lower(text: str) -> str:
    return text[:1].lower() + text[1:]


class Painter:
    """Figures of one report: every arm in the same colour, and the same scale within a row of figures."""

    def __init__(self, analysis: Analysis) -> None:
        arms = [item.arm for satellite in analysis.satellites for item in satellite.comparisons]
        self._styles = styles([*dict.fromkeys([*analysis.arms, *arms])])

    def style(self, arm: str) -> tuple[str, str]:
        return self._styles.get(arm, self._styles["random"])

    def row(self, name: str, change: Change, arm: str) -> charts.Row:
        text = formats.change(change)
        return charts.Row(name, change.value, change.low, change.high, text, *self.style(arm), change.is_clear)

    def forests(
        self,
        name: str,
        panels: Sequence[tuple[str, Sequence[charts.Row]]],
        *,
        bands: Sequence[tuple[float, float] | None] = (),
        targets: Sequence[float | None] = (),
    ) -> list[Figure]:
        """A figure per panel, on one scale. Panels without a row are left out."""
        ends = [
            end
            for _, rows in panels
            for row in rows
            for end in (row.value, *(side for side in (row.low, row.high) if side is not None))
        ]
        domain = charts.padded([*ends, *(target for target in targets if target is not None)])
        figures = []
        for at, (title, rows) in enumerate(panels):
            if rows:
                svg = charts.forest(
                    rows,
                    title=title,
                    domain=domain,
                    band=bands[at] if at < len(bands) else None,
                    target=targets[at] if at < len(targets) else None,
                )
                figures.append(Figure(f"{name}-{at + 1}", svg, _in_words(title, rows)))
        return figures

    def line(
        self, arm: str, points: Sequence[tuple[float, float, float | None, float | None]], name: str | None = None
    ) -> charts.Line:
        return charts.Line(name or label(arm), points, *self.style(arm), is_dashed=arm == "random")


def _in_words(title: str, rows: Sequence[charts.Row]) -> str:
    said = [
        f"{row.label} {row.text}" + (f" ({formats.spread(row.low, row.high)})" if row.low is not None else "")
        for row in rows
    ]
    return f"{title}: {'; '.join(said)}"


def line_figure(name: str, svg: str, title: str, series: Sequence[charts.Line]) -> Figure:
    """A figure of lines, its last heights in words."""
    said = [f"{line.label} {formats.percent(line.points[-1][1], sign=True)}" for line in series]
    return Figure(name, svg, f"{title}, at the right end: {'; '.join(said)}")

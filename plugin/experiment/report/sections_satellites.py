"""Sections about the satellites: what changes when one thing is done differently, on the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.comparisons import Comparison
from plugin.experiment.analysis.names import hard_share, label, split
from plugin.experiment.analysis.results import Setting
from plugin.experiment.analysis.satellites import ALLOCATION, COMPOSITION, NOISE, OTHER, Satellite
from plugin.experiment.analysis.transfer import KEY as DOMAINS
from plugin.experiment.report import charts, formats
from plugin.experiment.report.colours import SERIES
from plugin.experiment.report.document import Cell, Figure, Figures, Part, Section, Table
from plugin.experiment.report.parts import (
    BOTH,
    N,
    Painter,
    Rows,
    change_cell,
    line_figure,
    n_cell,
    of_arm,
    setting_words,
)

METRIC_COLOURS = tuple(SERIES)[-2:]  # not those of arms
TITLES = {
    COMPOSITION: ("EL2N: how much of the hardest?", "The hard share comes from the top, the others from the rest."),
    ALLOCATION: ("Quotas per domain", "Without a quota, and with one in proportion or equal for every domain."),
    OTHER: ("Other strategies", "Run on too few pairs to stand among the core strategies."),
    NOISE: ("Wrong labels", "Of weak labels a share is made wrong before selecting, of reviewed ones after it."),
    "rounds": ("Several rounds", "The budget in so many parts, the scoring model trained anew after each."),
    "replicates": ("How many replicates?", "Of the model that scores; the core's number stands first."),
    "el2n_epoch": ("EL2N: how early?", "The checkpoint whose probabilities EL2N takes; the core's stands first."),
    "el2n_in_sample_epochs": ("EL2N in-sample", "The scoring model is briefly trained on the pool as well."),
    "scores_from": (
        "Transfer across locales",
        "Another locale's model scores what both pools hold, in its language; random is drawn from that too.",
    ),
}


def satellites(analysis: Analysis, painter: Painter) -> list[Section]:
    """Transfer across domains has a section of its own."""
    shown = [satellite for satellite in analysis.satellites if satellite.name != DOMAINS]
    return [_section(analysis, satellite, painter, number) for number, satellite in enumerate(shown, 1)]


def _section(analysis: Analysis, satellite: Satellite, painter: Painter, number: int) -> Section:
    title, said = TITLES.get(satellite.name, (f"Satellite: {satellite.name}", "One thing is done differently."))
    if satellite.corpus != analysis.primary.corpus:
        title = f"{title} ({satellite.corpus})"
    place = f"{formats.count(satellite.pairs, 'pair')} ({', '.join(satellite.locales)})"
    parts: list[Part] = [f"{said} {place}; every row is against random choice under the same conditions."]
    figures = _figures(satellite, painter, number)
    if figures:
        parts.append(Figures(figures, "Relative change against random; below zero is better."))
    columns = ["against random", *(formats.metric_name(metric, arrow=True) for metric in BOTH), N]
    return Section(f"satellite-{number}", title, [*parts, Table(columns, _rows(satellite))])


def _rows(satellite: Satellite) -> Rows:
    """Arm by arm within a setting; where a setting was changed, its values one below the other for each arm."""
    groups: dict[tuple[Setting, str | None, str], list[Comparison]] = {}
    for item in satellite.comparisons:
        base = replace(item.setting, extra=(), noise=0.0)
        arm = "" if satellite.name in (COMPOSITION, ALLOCATION, OTHER) else item.arm
        groups.setdefault((base, item.locale, arm), []).append(item)
    rows: Rows = []
    for (base, locale, arm), items in groups.items():
        rows.append([Cell(": ".join(filter(None, [label(arm) if arm else "", locale, setting_words(base)])))])
        for setting, of in dict.fromkeys((item.setting, item.arm) for item in items):
            changes = {m: of_arm([item for item in items if item.setting == setting], of, m) for m in BOTH}
            name = _changed(setting) if arm else label(of)
            rows.append([name, *(change_cell(changes[m], m) for m in BOTH), n_cell(changes.values())])
    return rows


def _changed(setting: Setting) -> str:
    words = [f"{key.replace('_', ' ')} {value}" for key, value in setting.extra]
    if setting.noise:
        words.append(f"noise {formats.percent(setting.noise, decimals=0)}")
    return ", ".join(words) or "as in the core"


def _figures(satellite: Satellite, painter: Painter, number: int) -> list[Figure]:
    """A line over what was changed, where it is a number; of the first core setting that it was changed from."""
    if satellite.name == COMPOSITION:
        return _over_shares(satellite, number)
    if not satellite.comparisons or any(item.locale for item in satellite.comparisons):
        return []
    first = replace(satellite.comparisons[0].setting, noise=0.0, extra=())
    steps = {
        item.setting: step
        for item in satellite.comparisons
        if replace(item.setting, noise=0.0, extra=()) == first and (step := _step(item.setting)) is not None
    }
    if satellite.name == NOISE:
        steps[first] = 0.0
    if len(steps) < 2:
        return []
    # Evenly spaced: 1, 2, 3 and 10 replicates would stand on each other.
    places = {step: float(at) for at, step in enumerate(sorted(set(steps.values())))}
    ticks = {
        at: formats.percent(step, decimals=0) if satellite.name == NOISE else f"{step:g}" for step, at in places.items()
    }
    figures = []
    for metric in BOTH:
        series = []
        for arm in dict.fromkeys(item.arm for item in satellite.comparisons):
            points = sorted(
                (places[steps[item.setting]], item.change.value, item.change.low, item.change.high)
                for item in satellite.comparisons
                if item.setting in steps and (item.arm, item.metric) == (arm, metric)
            )
            if points:
                series.append(painter.line(arm, points))
        figures += _panel(f"satellite-{number}-{metric}", metric, series, ticks, satellite.name.replace("_", " "))
    return figures


def _step(setting: Setting) -> float | None:
    """The number that was changed."""
    if setting.noise and not setting.extra:
        return setting.noise
    values = [value for _, value in setting.extra]
    return float(values[0]) if len(values) == 1 and isinstance(values[0], int | float) else None


def _over_shares(satellite: Satellite, number: int) -> list[Figure]:
    """Hard share on the x axis, a line per metric, a figure per setting that has three compositions at least."""
    by_setting: dict[Setting, list[Comparison]] = {}
    for item in satellite.comparisons:
        if not split(item.arm)[1]:
            by_setting.setdefault(item.setting, []).append(item)
    figures = []
    for setting, items in by_setting.items():
        shares = sorted({share for item in items if (share := hard_share(item.arm)) is not None})
        if len(shares) < 3:
            continue
        places = {share: float(at) for at, share in enumerate(shares)}
        series = []
        for metric, colour in zip(BOTH, METRIC_COLOURS, strict=True):
            points = sorted(
                (places[hard_share(item.arm) or 0.0], item.change.value, item.change.low, item.change.high)
                for item in items if item.metric == metric
            )  # fmt: skip
            series.append(charts.Line(formats.metric_name(metric), points, colour))
        ticks = {at: formats.percent(share, decimals=0) for share, at in places.items()}
        name = f"satellite-{number}-{setting.labels}-{setting.pool}-{setting.budget:g}"
        title = setting_words(setting)
        ends = [end for line in series for point in line.points for end in point[1:] if end is not None]
        svg = charts.lines(
            series, title=title, ticks=ticks, y_domain=charts.padded(ends), zero=True, x_title="hard share"
        )
        figures.append(line_figure(name, svg, title, series))
    return figures


def _panel(
    name: str, metric: str, series: Sequence[charts.Line], ticks: dict[float, str], x_title: str
) -> list[Figure]:  # fmt: skip
    if not series:
        return []
    ends = [end for line in series for point in line.points for end in point[1:] if end is not None]
    title = formats.metric_name(metric)
    svg = charts.lines(series, title=title, ticks=ticks, y_domain=charts.padded(ends), zero=True, x_title=x_title)
    return [line_figure(name, svg, title, series)]


def transfers(analysis: Analysis) -> Section | None:
    """Open question 2, across domains."""
    if not analysis.transfers:
        return None
    rows: Rows = []
    found = {(item.corpus, item.arm, item.where, item.metric): item for item in analysis.transfers}
    for corpus, arm, where in dict.fromkeys((item.corpus, item.arm, item.where) for item in analysis.transfers):
        changes = {m: item.change if (item := found.get((corpus, arm, where, m))) else None for m in BOTH}
        against = "nothing added" if arm == "random" else "random"
        side = "domains selected from" if where == "selected" else "the other domains"
        cells = (change_cell(changes[metric], metric) for metric in BOTH)
        rows.append([f"{label(arm)} against {against}, {side}", *cells, n_cell(changes.values())])
    said = (
        "Only half of the domains may be selected from, each half in turn. What does that do to the errors in those "
        "domains, and in the others? Random against nothing added says what the labels bring at all; a strategy "
        "against random in the same half says what choosing them brings."
    )
    columns = ["", *(formats.metric_name(metric, arrow=True) for metric in BOTH), N]
    return Section("transfer", "Transfer across domains", [said, Table(columns, rows)])

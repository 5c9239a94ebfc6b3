"""Sections about where it holds: locale by locale, domain by domain."""

from __future__ import annotations

from collections.abc import Sequence

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.domains import DomainChange
from plugin.experiment.analysis.intervals import ENOUGH_SEEDS, is_off_zero
from plugin.experiment.analysis.names import label
from plugin.experiment.report import charts, formats
from plugin.experiment.report.document import Cell, Figures, Section, Table, Tone
from plugin.experiment.report.parts import BOTH, DCER, Painter, Rows, change_cell, n_cell


def locales(analysis: Analysis, painter: Painter) -> Section | None:
    """One panel per arm and metric, a row per locale."""
    names = list(dict.fromkeys(item.locale for item in analysis.by_locale))
    if len(names) < 2:
        return None
    arms = list(dict.fromkeys(item.arm for item in analysis.by_locale))
    found = {(item.arm, item.locale, item.metric): item.change for item in analysis.by_locale}
    panels = [
        (
            f"{label(arm)}: {formats.metric_name(metric)}",
            [painter.row(str(name), found[arm, name, metric], arm) for name in names if (arm, name, metric) in found],
        )
        for arm in arms
        for metric in BOTH
    ]
    rows: Rows = []
    for arm in arms:
        for metric in BOTH:
            cells = [change_cell(found.get((arm, name, metric)), metric) for name in names]
            rows.append([f"{label(arm)}, {formats.metric_name(metric)}", *cells])
    rows.append(["n", *(n_cell([found.get((arm, name, DCER)) for arm in arms]) for name in names)])
    caption = "Each locale over its own seeds. p is corrected over the strategies of a locale (Holm)."
    return Section(
        "locales",
        "Locale by locale",
        [Figures(painter.forests("locales", panels), "Left of zero is better."),
         Table(["against random", *(str(name) for name in names)], rows, caption)],
    )  # fmt: skip


def domains(analysis: Analysis, painter: Painter) -> Section | None:
    """Large domains, shrunken; then EL2N against entropy there."""
    if not analysis.by_domain:
        return None
    names = list(analysis.domains)
    table = _domain_rows(analysis.by_domain, names)
    table.append(["test utterances", *(f"{analysis.domains[name]:,}" for name in names)])
    said = (
        "Only domains with at least 200 test utterances, by reference domain. A domain's own change (raw) is noisy, so "
        "it is drawn towards the mean over domains as far as noise explains it (empirical Bayes); where that mean says "
        "it all, the domains show the same number."
    )
    panels = _domain_panels(analysis.by_domain, painter)
    figures = Figures(painter.forests("domains", panels), "Left of zero is better.")
    duel = _domain_rows(analysis.duel_by_domain, names)
    tables = [Table(["against random", *names], table)]
    tables += [Table(["against entropy", *names], duel, "Left of zero: EL2N is better there.")] if duel else []
    return Section("domains", "Domain by domain", [said, figures, *tables])


def _domain_panels(found: Sequence[DomainChange], painter: Painter) -> list[tuple[str, list[charts.Row]]]:
    panels: dict[tuple[str, str], list[charts.Row]] = {}
    for item in found:
        text = formats.percent(item.value, sign=True)
        row = charts.Row(
            item.domain,
            item.value,
            item.low,
            item.high,
            text,
            *painter.style(item.arm),
            is_off_zero(item.low, item.high),
        )
        panels.setdefault((item.arm, item.metric), []).append(row)
    return [(f"{label(arm)}: {formats.metric_name(metric)}", rows) for (arm, metric), rows in panels.items()]


def _domain_rows(items: Sequence[DomainChange], names: Sequence[str]) -> Rows:
    found = {(item.arm, item.metric, item.domain): item for item in items}
    keys = dict.fromkeys((item.arm, item.metric) for item in items)
    return [
        [
            f"{label(arm)}, {formats.metric_name(metric)}",
            *(_domain_cell(found.get((arm, metric, name))) for name in names),
        ]
        for arm, metric in keys
    ]


def _domain_cell(item: DomainChange | None) -> Cell:
    if item is None:
        return Cell(formats.NONE, tone="muted")
    mood: Tone = ""
    if item.seeds >= ENOUGH_SEEDS and is_off_zero(item.low, item.high):
        mood = "good" if item.value < 0.0 else "bad"
    under = [formats.spread(item.low, item.high), f"raw {formats.percent(item.raw, sign=True)}"]
    return Cell(formats.percent(item.value, sign=True), "\n".join(filter(None, under)), mood)

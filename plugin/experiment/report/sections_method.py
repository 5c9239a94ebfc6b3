"""How the numbers were made: the statistics, what of the grid is there, commands and versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.names import label
from plugin.experiment.report import formats
from plugin.experiment.report.document import Cell, Section, Table
from plugin.experiment.report.parts import Rows, setting_words

METHODS = """
**Pairs.** One seed is one draw of trusted data and pool and one training seed; all arms of a locale share it. Errors
are pooled over the test set per trial, then compared: an arm's rate over the mean rate of all random draws of the same
pair, minus 1. The number shown is the mean over pairs.

**Interval.** Of a parallel corpus every locale has the same test set, and a seed's training draws may have utterances
in common, so pairs of one seed are not taken for independent. The seed is therefore the unit: BCa bootstrap of 5,000
resamples over seeds, each with all its locales, read at the level that makes up for few seeds (Hesterberg 2015; in
simulations of 6 to 10 seeds it covers 94 to 95 %). It speaks of these locales. The wider one resamples locales too
(Owen 2007).

**p.** Two-sided, by flipping the signs of the seeds' sums (exact up to 16 seeds), corrected over the strategies of a
setting and metric (Holm). With fewer than 6 seeds no p can fall below 0.05, so nothing is coloured; corrected over four
strategies none can with fewer than 8, and the interval has to speak. *Entropy or EL2N* is corrected by itself; *What
review is worth* and *Domain by domain* show intervals, each for itself and not corrected: bold there is off zero.

**Labels saved.** Random's curve over budgets, each pair divided by its mean level, averaged, made monotone (isotonic),
drawn through over the logarithm of the budget (PCHIP) and read backwards at the arm's error; the interval resamples
seeds through all of it.

**Domains.** Errors summed over pairs, ratio to random's, standard error over seeds, shrunken by empirical Bayes (Paule
and Mandel).

**Core and satellites.** Arms that no command named for a setting, or that were run on less than half of the pairs of
the best covered one, stand apart, as do trials with label noise or with any option of their own.
"""


def method(analysis: Analysis) -> Section:
    results = analysis.results
    notes = [f"{formats.count(len(results.trials), 'trial')} were read."]
    if results.unreadable:
        notes.append(f"{formats.count(results.unreadable, 'line')} could not be read and were left out.")
    if results.repeated:
        notes.append(f"{formats.count(results.repeated, 'trial')} had been run before; the last result counts.")
    about = _about(results.manifest)
    tables = [Table(["", "as it was run"], about)] if about else []
    return Section("method", "How this was made", [*paragraphs(METHODS), " ".join(notes), _coverage(analysis), *tables])


def paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.strip().split("\n\n")]


def _coverage(analysis: Analysis) -> Table:
    """Trials by setting and arm: what of the grid is there."""
    rows: Rows = []
    for setting, arms in analysis.results.settings.items():
        extra = ", ".join(f"{key} {value}" for key, value in setting.extra)
        name = f"{setting.corpus}: {setting_words(setting)}" + (f", {extra}" if extra else "")
        counts = Counter({label(arm): len(pairs) for arm, pairs in arms.items()})
        seeds = {pair.seed for pairs in arms.values() for pair in pairs}
        locales = {pair.locale for pairs in arms.values() for pair in pairs}
        said = " · ".join(f"{arm} {number}" for arm, number in sorted(counts.items()))
        numbers = (sum(counts.values()), len(seeds), len(locales))
        rows.append([name, *(f"{number:,}" for number in numbers), Cell(said, tone="words")])
    columns = ["setting", "trials", "seeds", "locales", "by arm"]
    return Table(columns, rows, summary="What of the grid is there: trials by setting and arm")


def _about(manifest: Mapping[str, Any]) -> Rows:
    """The manifest, a row per entry; files by name alone, for a path says nothing elsewhere."""
    rows: Rows = []
    for key, value in manifest.items():
        if key == "runs" and isinstance(value, list):
            rows += [
                [f"run {number}", Cell(_run(run), tone="words")]
                for number, run in enumerate(value, 1)
                if isinstance(run, dict)
            ]
        elif key != "format":
            rows.append([key, Cell(_words(value), tone="words")])
    return rows


def _run(run: Mapping[str, Any]) -> str:
    parts = [
        f"`{_words(run['command'])}`" if run.get("command") else "",
        _words(run.get("started") or ""),
        ", ".join(f"{name} {version}" for name, version in (run.get("versions") or {}).items()),
        _words(run.get("machine") or ""),
        f"{run['workers']} workers" if run.get("workers") else "",
    ]
    return " · ".join(filter(None, parts))


def _words(value: Any) -> str:
    match value:
        case dict():
            return "; ".join(f"{key}: {_words(item)}" for key, item in value.items())
        case list():
            return ", ".join(map(_words, value))
        case str() if value.startswith("/"):
            return PurePath(value).name
    return str(value)

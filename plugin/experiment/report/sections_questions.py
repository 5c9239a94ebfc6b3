"""Sections that answer one question each: the paper, entropy or EL2N, review, what is selected, cost, other corpora."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.analyse import PAPER_LABELS, PAPER_POOL
from plugin.experiment.analysis.comparisons import Comparison
from plugin.experiment.analysis.intervals import Change
from plugin.experiment.analysis.names import label
from plugin.experiment.analysis.results import Setting
from plugin.experiment.analysis.reviews import Review
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
    change_cell,
    line_figure,
    n_cell,
    of_arm,
    plain_row,
    setting_words,
)
from plugin.experiment.report.verdict import PAPER, paper_direction


def paper(analysis: Analysis) -> Section | None:
    """The paper's table beside ours, in its own setting and with reviewed labels."""
    rows: Rows = []
    for setting in _mine(analysis):
        arms = [arm for arm in PAPER if of_arm(analysis.of(setting, DCER), arm, DCER)]
        if setting.budget != analysis.primary.budget or not arms:
            continue
        rows.append([Cell(setting_words(setting) + (" (the paper's)" if _is_papers(setting) else ""))])
        for arm in arms:
            changes = {metric: of_arm(analysis.of(setting, metric), arm, metric) for metric in BOTH}
            cells: list[Cell | str] = [label(arm)]
            for metric in BOTH:
                cells += [
                    formats.percent(PAPER[arm][metric], decimals=2, sign=True),
                    change_cell(changes[metric], metric, with_p=False),
                    paper_direction(changes[metric]),
                ]
            rows.append([*cells, n_cell(changes.values())])
    if not rows:
        return None
    said = (
        "arXiv 2311.16302 reports these changes against random choice of the same size, on data that is not public. "
        "Its own setting is weak labels within the window of NLU scores; whether its direction (fewer errors) holds is "
        "said for every setting that was run. *Leans*: the interval is off zero, the corrected p is not below 0.05."
    )
    columns = ["against random"]
    for metric in BOTH:
        name = formats.metric_name(metric)
        columns += [f"{name}, paper", f"{name}, here", "direction"]
    return Section("paper", "The paper's claim", [said, Table([*columns, N], rows)])


def duel(analysis: Analysis, painter: Painter) -> Section | None:
    """Open question 1."""
    found = [item for item in analysis.duels if item.setting.corpus == analysis.primary.corpus]
    if not found:
        return None
    mine = [item for item in found if item.setting == analysis.primary]
    panels = [
        (
            f"{formats.metric_name(metric)}: EL2N against entropy",
            [painter.row(label(item.arm), item.change, item.arm) for item in mine if item.metric == metric],
        )
        for metric in BOTH
    ]
    columns = ["against entropy", *(formats.metric_name(metric, arrow=True) for metric in BOTH), N]
    figures = Figures(painter.forests("duel", panels), "Left of zero EL2N is better, right of it entropy.")
    tables = _folded(analysis, columns, {setting: _duel_rows(found, setting) for setting in _settings_of(found)})
    return Section("duel", "Entropy or EL2N?", [_duel_words(analysis), figures, *tables])


def _duel_rows(found: Sequence[Comparison], setting: Setting) -> Rows:
    here = [item for item in found if item.setting == setting]
    rows: Rows = [[Cell(setting_words(setting))]]
    for arm in dict.fromkeys(item.arm for item in here):
        changes = {metric: of_arm(here, arm, metric) for metric in BOTH}
        rows.append([label(arm), *(change_cell(changes[metric], metric) for metric in BOTH), n_cell(changes.values())])
    return rows


def _duel_words(analysis: Analysis) -> str:
    said = []
    for item in analysis.duels:
        if item.setting == analysis.primary:
            name, metric = label(item.arm), formats.metric_name(item.metric)
            if not item.change.is_clear:
                said.append(f"by {metric}, {name} and entropy cannot be told apart")
            else:
                better, size = item.change.value < 0.0, formats.percent(abs(item.change.value))
                said.append(f"by {metric}, {name} is {size} {'better' if better else 'worse'} than entropy")
    text = f"In the primary comparison: {'; '.join(said)}."
    return text if said else "Not run in the primary comparison; the table has the settings that were."


def review(analysis: Analysis, painter: Painter) -> Section | None:
    """The value of review beside that of selection."""
    found = [item for item in analysis.reviews if item.setting.corpus == analysis.primary.corpus]
    if not found:
        return None
    shown = [item for item in found if item.setting == analysis.primary] or [
        item for item in found if item.setting == found[0].setting
    ]
    columns = ["", "selection, weak labels", "selection, reviewed labels", "review of the same selection", "both", N]
    said = (
        "A budget can go into better utterances or into better labels of those chosen. **Selection**: the "
        "arm against random with the same kind of labels. **Review**: the same selection with reviewed labels against "
        "itself with weak ones. **Both**: reviewed selection against random choice with weak labels."
    )
    caption = "Error relative to random choice with weak labels (0)."
    figures = Figures([_slope(shown, metric, painter) for metric in BOTH], caption)
    tables = _folded(analysis, columns, {setting: _review_rows(found, setting) for setting in _settings_of(found)})
    return Section("review", "What review is worth, and what selection is", [said, figures, *tables])


def _fewest(steps: Iterable[Change | None]) -> Change:
    """What the steps of a row may be compared on."""
    return min((step for step in steps if step), key=lambda step: step.pairs)


def _review_rows(found: Sequence[Review], setting: Setting) -> Rows:
    rows: Rows = [[Cell(_without_labels(setting_words(setting)))]]
    for item in found:
        if item.setting == setting:
            steps = (item.select_weak, item.select_reviewed, item.review, item.both)
            cells = [change_cell(step, item.metric, with_p=False) for step in steps]
            rows.append([f"{label(item.arm)}, {formats.metric_name(item.metric)}", *cells, n_cell([_fewest(steps)])])
    return rows


def _settings_of(found: Sequence[Comparison] | Sequence[Review]) -> list[Setting]:
    return list(dict.fromkeys(item.setting for item in found))


def _folded(analysis: Analysis, columns: Sequence[str], rows: Mapping[Setting, Rows]) -> list[Table]:
    """The settings of the primary budget, and the others folded away."""
    first = [row for setting, mine in rows.items() if setting.budget == analysis.primary.budget for row in mine]
    others = [row for setting, mine in rows.items() if setting.budget != analysis.primary.budget for row in mine]
    tables = [Table(columns, first)] if first else []
    return [*tables, Table(columns, others, summary="The other budgets")] if others else tables


def _without_labels(text: str) -> str:
    """The setting's pool and budget: its labels are what the table is about."""
    rest = text.partition(", ")[2] or text
    return rest[:1].upper() + rest[1:]


def _slope(found: Sequence[Review], metric: str, painter: Painter) -> Figure:
    series = []
    for item in found:
        if item.metric == metric:
            reviewed: Change | None = item.review if item.arm == "random" else item.both
            weak = item.select_weak
            points = [(0.0, weak.value, weak.low, weak.high) if weak else (0.0, 0.0, None, None)]
            if reviewed:
                points.append((1.0, reviewed.value, reviewed.low, reviewed.high))
            series.append(painter.line(item.arm, points, label(item.arm)))
    ends = [end for line in series for point in line.points for end in point[1:] if end is not None]
    title = f"{formats.metric_name(metric)}: from weak to reviewed labels"
    svg = charts.lines(
        series, title=title, ticks={0.0: "weak", 1.0: "reviewed"}, y_domain=charts.padded(ends), zero=True
    )
    return line_figure(f"review-{metric}", svg, title, series)


def selections(analysis: Analysis) -> Section | None:
    if not any(item.size for item in analysis.selections):
        return None
    rows: Rows = [
        [
            label(item.arm),
            formats.percent(item.wrong),
            formats.percent(item.wrong_domain),
            formats.quantity(item.tokens),
            formats.NONE if item.domains is None else f"{item.domains:.1f}",
            f"{item.size:,.0f}",
        ]
        for item in analysis.selections
    ]
    said = (
        "How often the seed model was wrong about what was selected, how long it is and how many domains it covers "
        "(effective number, exp of the entropy of their shares). A high share of wrong hypotheses is work for a "
        "reviewer, and noise where nobody reviews."
    )
    columns = ["selected by", "wrong hypothesis", "wrong domain", "tokens", "effective domains", "utterances"]
    return Section("selected", "What was selected", [said, Table(columns, rows, "Means over trials.")])


def costs(analysis: Analysis) -> Section | None:
    """Open question 3."""
    if not any(item.select is not None for item in analysis.costs):
        return None
    rows: Rows = [
        [
            label(item.arm),
            formats.quantity(item.select, "s"),
            formats.quantity(item.score, "s"),
            formats.quantity(item.extra_mb, "MB"),
            formats.quantity(item.peak_mb, "MB"),
            formats.quantity(item.train_seconds, "s"),
            formats.quantity(item.evaluate, "s"),
            f"{item.trials:,}",
        ]
        for item in analysis.costs
    ]
    said = (
        "Selecting, scoring and memory per 1,000 utterances of the pool, evaluation per 1,000 of the test set; the "
        "peak is of the whole process. Scoring computes all scores at once and is shared by all strategies; random "
        "choice needs none of it. Trials ran beside each other, so these are orders of magnitude, no benchmark."
    )
    columns = ["strategy", "select", "score (shared)", "memory", "peak, process", "train", "evaluate", "trials"]
    return Section("cost", "What it costs", [said, Table(columns, rows, "Medians over trials of the primary setting.")])


def corpora(analysis: Analysis) -> Section | None:
    """Everything that was run on corpora other than the primary one."""
    others = [item for item in analysis.comparisons if item.setting.corpus != analysis.primary.corpus]
    parts: list[Part] = []
    for corpus in dict.fromkeys(item.setting.corpus for item in others):
        rows: Rows = []
        for setting in dict.fromkeys(item.setting for item in others if item.setting.corpus == corpus):
            rows.append([Cell(setting_words(setting))])
            rows += [arm_row(analysis, setting, item.arm) for item in analysis.of(setting, DCER)]
            if floors := [floor for metric in BOTH if (floor := analysis.floor(setting, metric))]:
                rows.append(plain_row(AA, floors, "random"))
        columns = ["against random", *(formats.metric_name(metric, arrow=True) for metric in BOTH)]
        columns += [*(f"labels saved, {formats.metric_name(metric)}" for metric in BOTH), N]
        parts += [f"**{corpus}**", Table(columns, rows)]
    said = "Corpora are never pooled: each is another draw of data, labels and difficulty."
    return Section("corpora", "On other corpora", [said, *parts]) if parts else None


def _mine(analysis: Analysis) -> list[Setting]:
    corpus = analysis.primary.corpus
    return list(dict.fromkeys(item.setting for item in analysis.comparisons if item.setting.corpus == corpus))


def _is_papers(setting: Setting) -> bool:
    return (setting.pool, setting.labels) == (PAPER_POOL, PAPER_LABELS)

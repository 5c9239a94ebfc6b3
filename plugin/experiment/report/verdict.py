"""The answer on top of the page, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.analyse import ENTROPY, PRIMARY_BUDGET, PRIMARY_LABELS, PRIMARY_METRICS, PRIMARY_POOL
from plugin.experiment.analysis.curves import LabelsSaved
from plugin.experiment.analysis.intervals import ENOUGH_SEEDS, Change
from plugin.experiment.analysis.names import label
from plugin.experiment.analysis.results import Setting
from plugin.experiment.report import formats
from plugin.experiment.report.document import Tile, Tone, Verdict
from plugin.experiment.report.parts import DCER, LABELS_WORDS, SEMER, of_arm, setting_words, tone

DEFAULT = "default"
# What the project set itself, for the primary comparison.
TARGETS = {DCER: -0.10, SEMER: -0.04}
TARGET_SAVED = 0.30
POOL_PLACES = {
    "whole": "the whole pool",
    "window": "what lies within the window of NLU scores",
    "outside": "what lies outside the window of NLU scores",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The arm that the verdict is about."""

    arm: str
    is_default: bool
    changes: dict[str, Change]
    saved: LabelsSaved | None


def verdict(analysis: Analysis) -> Verdict:
    subject = subject_of(analysis)
    if subject is None:
        return Verdict(
            "There is nothing to compare yet.",
            ["No strategy and random choice were run on the same draw. The tables show what there is."],
            tone="muted",
        )
    details = (
        _not_primary(analysis),
        _about_the_arm(analysis, subject),
        _target(subject),
        _noise(analysis),
        _extent(analysis),
    )
    sentence, mood = _sentence(analysis, subject)
    return Verdict(sentence, [line for line in details if line], _tiles(subject), mood)


def subject_of(analysis: Analysis) -> Subject | None:
    """The product's default strategy; where it was not run, the arm with the lowest DCER."""
    found = analysis.of(analysis.primary, DCER)
    if not found:
        return None
    best = min(found, key=lambda item: (item.change.value, item.arm)).arm
    arm = DEFAULT if any(item.arm == DEFAULT for item in found) else best
    changes = {
        metric: change
        for metric in PRIMARY_METRICS
        if (change := of_arm(analysis.of(analysis.primary, metric), arm, metric))
    }
    return Subject(arm, arm == DEFAULT, changes, analysis.labels_saved(analysis.primary, arm, DCER))


def _sentence(analysis: Analysis, subject: Subject) -> tuple[str, Tone]:
    name = f"**{label(subject.arm)}**"
    setting = analysis.primary
    labels, pool = LABELS_WORDS.get(setting.labels, setting.labels), POOL_PLACES.get(setting.pool, setting.pool)
    where = f"With {labels} and a budget of {formats.budget(setting.budget)} of {pool}"
    fewest = min(change.seeds for change in subject.changes.values())
    if fewest < ENOUGH_SEEDS:
        early = f"Too early to tell: {formats.count(fewest, 'seed')} of the {ENOUGH_SEEDS} that a verdict needs."
        return f"{early} So far {name} stands at {_both(subject)} against random choice.", "muted"
    tones = {metric: tone(change, metric) for metric, change in subject.changes.items()}
    said = {metric: _said(metric, subject.changes[metric]) for metric in tones}
    good, bad = ([metric for metric in tones if tones[metric] == mood] for mood in ("good", "bad"))
    if good and not bad:
        sentence = f"{where}, {name} makes {formats.listed([said[metric] for metric in good])} than random choice"
        even = [formats.metric_name(metric) for metric in tones if not tones[metric]]
        also = f"; {formats.listed(even)} cannot be told apart from random's" if even else ""
        return f"{sentence}{also}{_labels(subject)}.", "good" if not even else ""
    if good and bad:
        return (
            f"{where}, {name} trades one error for another: {said[good[0]]} than random choice, but {said[bad[0]]}.",
            "",
        )
    if bad:
        worse = formats.listed([said[metric] for metric in bad])
        return f"{where}, {name} is worse than random choice: {worse}.", "bad"
    return f"{where}, {name} cannot be told apart from random choice: {_both(subject)}.", ""


def _said(metric: str, change: Change) -> str:
    size = formats.percent(abs(change.value))
    direction = "fewer" if change.value < 0 else "more"
    name = formats.PLAIN_NAMES.get(metric, formats.metric_name(metric))
    interval = f"95{formats.SPACE}% CI {formats.change_spread(change)}"
    return f"{size} {direction} {name} ({formats.metric_name(metric)}, {interval})"


def _both(subject: Subject) -> str:
    return formats.listed([
        f"{formats.metric_name(metric)} {formats.change(change)}"
        + (f" ({formats.change_spread(change)})" if change.low is not None else "")
        for metric, change in subject.changes.items()
    ])  # fmt: skip


def _labels(subject: Subject) -> str:
    found = subject.saved
    if found is None or found.worse_than_nothing or found.saved <= 0.0:
        return ""
    needs = f"more than {formats.budget(found.largest)}" if found.at_least else formats.percent(found.equivalent)
    same = f". Random choice needs {needs} of the pool for the same DCER"
    return f"{same}: **{formats.saved(found)} of the labels are saved**"


def _not_primary(analysis: Analysis) -> str:
    if analysis.is_primary:
        return ""
    named = setting_words(Setting(analysis.primary.corpus, PRIMARY_POOL, PRIMARY_LABELS, 0.0, PRIMARY_BUDGET))
    return (
        f"The comparison that was named beforehand ({named}) has not been run; this is the nearest one that was: "
        f"{setting_words(analysis.primary)}."
    )


def _about_the_arm(analysis: Analysis, subject: Subject) -> str:
    number = len(analysis.of(analysis.primary, DCER))
    if subject.is_default:
        policy = (analysis.results.manifest.get("setup") or {}).get("default_arm")
        words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in policy.items()) if policy else ""
        return f"`default` is the policy that Assay ships with: {words}." if words else ""
    best = f"{label(subject.arm)} is the best of {number} strategies on DCER, chosen after seeing the results"
    return f"{best}: expect less of it elsewhere." if number > 1 else ""


def _target(subject: Subject) -> str:
    """Against what the project set itself; an arm other than the default has no target."""
    if not subject.is_default or set(subject.changes) != set(TARGETS):
        return ""
    if min(change.seeds for change in subject.changes.values()) < ENOUGH_SEEDS:
        goals = [
            f"{formats.metric_name(metric)} {formats.percent(goal, decimals=0, sign=True)}"
            for metric, goal in TARGETS.items()
        ]
        labels = f"{formats.percent(TARGET_SAVED, decimals=0)} of labels saved"
        return f"The target set beforehand: {'; '.join([*goals, labels])}. Too early to say whether it is reached."
    saved = subject.saved
    checks = [
        (
            f"{formats.metric_name(metric)} {formats.percent(goal, decimals=0, sign=True)}",
            _reaches(subject, metric, goal),
        )
        for metric, goal in TARGETS.items()
    ]
    said = [f"{what}: {'reached' if is_reached else 'not reached'}" for what, is_reached in checks]
    of_labels = "not measured" if saved is None else "reached" if saved.saved >= TARGET_SAVED else "not reached"
    said.append(f"{formats.percent(TARGET_SAVED, decimals=0)} of labels: {of_labels}")
    return f"The target set beforehand: {'; '.join(said)}."


def _reaches(subject: Subject, metric: str, goal: float) -> bool:
    return subject.changes[metric].is_off_zero and subject.changes[metric].value <= goal


def _noise(analysis: Analysis) -> str:
    floors = [(metric, analysis.floor(analysis.primary, metric)) for metric in PRIMARY_METRICS]
    said = [
        f"{formats.metric_name(metric)} {formats.change(floor.change)}"
        + (f" ({formats.change_spread(floor.change)})" if floor.change.low is not None else "")
        for metric, floor in floors
        if floor
    ]
    if not said:
        return "Random was drawn once only, so there is no noise floor to compare with."
    return f"Noise floor, random against another random draw: {formats.listed(said)}."


def _extent(analysis: Analysis) -> str:
    pairs = {pair for arms in analysis.results.arms(analysis.primary).values() for pair in arms}
    seeds, locales = {pair.seed for pair in pairs}, sorted({pair.locale for pair in pairs})
    return (
        f"{formats.count(len(pairs), 'pair')} of {formats.count(len(seeds), 'seed')} and "
        f"{formats.count(len(locales), 'locale')} ({', '.join(locales)}) of {analysis.primary.corpus}; "
        f"{formats.count(len(analysis.results.trials), 'trial')} in all. Negative is better for error rates."
    )


def _tiles(subject: Subject) -> list[Tile]:
    tiles = [
        Tile(formats.metric_name(metric), formats.change(change), formats.change_spread(change), tone(change, metric))
        for metric, change in subject.changes.items()
    ]
    if subject.saved:
        mood: Tone = "good" if (subject.saved.low or -1.0) > 0.0 and subject.saved.seeds >= ENOUGH_SEEDS else ""
        tiles.append(Tile("labels saved", formats.saved(subject.saved), formats.saved_spread(subject.saved), mood))
    return tiles


def paper_direction(change: Change | None) -> str:
    """Whether what the paper saw, a lower error, is seen here."""
    if change is None:
        return "not run"
    if change.seeds < ENOUGH_SEEDS:
        return "too few seeds"
    if not change.is_off_zero:
        return "cannot be told apart"
    if not change.is_clear:  # with few seeds and several strategies no corrected p can be small
        return "leans its way" if change.value < 0 else "leans the other way"
    return "holds" if change.value < 0 else "opposite"


PAPER = {ENTROPY: {DCER: -0.0611, SEMER: -0.0235}, "el2n-10-90": {DCER: -0.0412, SEMER: -0.0214}}

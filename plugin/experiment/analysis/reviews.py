"""What review is worth beside what selection is worth: the same selection, trained on weak or reviewed labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plugin.experiment.analysis.comparisons import across_settings
from plugin.experiment.analysis.intervals import Change, summarise
from plugin.experiment.analysis.results import Results, Setting

WEAK, REVIEWED = "weak", "reviewed"
RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Review:
    """Four steps of one arm by one metric in `setting` (labels: reviewed); None where trials are missing.

    select_weak      the arm on weak labels against random on weak labels
    select_reviewed  the arm on reviewed labels against random on reviewed labels
    review           the arm on reviewed labels against itself on weak ones: the same selection
    both             the arm on reviewed labels against random on weak labels
    """

    setting: Setting
    arm: str
    metric: str
    select_weak: Change | None
    select_reviewed: Change | None
    review: Change
    both: Change | None


def reviews(
    results: Results, core: Sequence[Setting], arms: Mapping[Setting, Sequence[str]], metrics: Sequence[str]
) -> list[Review]:
    """Of every arm that was run with both kinds of labels, random first."""
    found = []
    for setting in core:
        weak = replace(setting, labels=WEAK)
        if setting.labels != REVIEWED or weak not in results.settings:
            continue
        for arm in (RANDOM, *arms[setting]):
            found += [one for metric in metrics if (one := _review(results, setting, weak, arm, metric))]
    return found


def _review(results: Results, reviewed: Setting, weak: Setting, arm: str, metric: str) -> Review | None:
    review = summarise(across_settings(results, (reviewed, arm), (weak, arm), metric))
    if review is None:
        return None
    is_choice = arm != RANDOM

    def against_random(new: Setting, base: Setting) -> Change | None:
        return summarise(across_settings(results, (new, arm), (base, None), metric))

    return Review(
        setting=reviewed,
        arm=arm,
        metric=metric,
        select_weak=against_random(weak, weak) if is_choice else None,
        select_reviewed=against_random(reviewed, reviewed) if is_choice else None,
        review=review,
        both=against_random(reviewed, weak) if is_choice else None,
    )

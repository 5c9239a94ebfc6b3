"""What an experiment left behind: one trial per line, read, checked and put in order."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from plugin.experiment.results import ResultsError, content, files

CORE = ("corpus", "locale", "seed", "pool", "labels", "noise", "budget", "arm")
ALL = "*"  # the key of what is counted over all domains
NOTHING, EVERYTHING = 0.0, 1.0  # budgets at which there is nothing to choose
POOLS, LABELS = ("whole", "window", "outside"), ("reviewed", "weak")
CUTS = ("scores_from", "domains_half")  # satellites in which part of the pool may not be selected
RANDOM = re.compile(r"random(-\d+)?")

Extra = tuple[tuple[str, Any], ...]


class NoResultsError(Exception):
    """There is nothing to report; the message says where it was looked for."""


class Pair(NamedTuple):
    """One draw of trusted data, pool and training seed, in one locale; all arms share it."""

    locale: str
    seed: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What two trials must have in common to be compared; `extra` holds what only satellites have.

    `noise` and `budget` are fractions here, and per cents in the files.
    """

    corpus: str
    pool: str
    labels: str
    noise: float
    budget: float
    extra: Extra = ()

    @property
    def is_core(self) -> bool:
        return self.noise == 0.0 and not self.extra

    @property
    def cuts_the_pool(self) -> bool:
        return any(key in CUTS for key, _ in self.extra)

    @property
    def order(self) -> tuple[Any, ...]:
        """To sort by: what matters most first; values of an extra may be of several types."""
        extra = tuple((key, *natural(value)) for key, value in self.extra)
        return (self.corpus, _rank(self.pool, POOLS), _rank(self.labels, LABELS), self.noise, self.budget, extra)


@dataclass(frozen=True, slots=True)
class Trial:
    """One arm in one setting on one pair. `errors`: metric -> domain or * -> (numerator, denominator)."""

    setting: Setting
    pair: Pair
    arm: str
    size: int
    pool_size: int
    errors: Mapping[str, Mapping[str, tuple[float, float]]]
    selected: Mapping[str, Any]
    seconds: Mapping[str, float]
    peak_rss_mb: float
    select_peak_mb: float | None = None

    def terms(self, metric: str, domain: str = ALL) -> tuple[float, float]:
        """Numerator and denominator; (0, 0) where it was not counted."""
        return self.errors.get(metric, {}).get(domain, (0.0, 0.0))

    def rate(self, metric: str, domain: str = ALL) -> float:
        numerator, denominator = self.terms(metric, domain)
        return numerator / denominator if denominator else math.nan


Arms = dict[str, dict[Pair, Trial]]


@dataclass(frozen=True)
class Results:
    """All trials of an experiment: setting -> arm -> pair -> trial."""

    settings: Mapping[Setting, Arms]
    manifest: Mapping[str, Any] = field(default_factory=dict)
    unreadable: int = 0
    repeated: int = 0

    @property
    def trials(self) -> list[Trial]:
        return [trial for arms in self.settings.values() for pairs in arms.values() for trial in pairs.values()]

    def trial(self, setting: Setting, arm: str, pair: Pair) -> Trial | None:
        return self.settings.get(setting, {}).get(arm, {}).get(pair)

    def arms(self, setting: Setting) -> Arms:
        return self.settings.get(setting, {})

    def random_trials(self, setting: Setting, pair: Pair) -> list[Trial]:
        """The reference: every random draw of the setting, or of the core where the satellite has none of its own.

        The core's will not do where the satellite selects from a part of the pool alone.
        At a budget of 0 or 1 there is nothing to choose, so whatever arm was run is every arm, and with nothing
        added pool, labels and noise do not matter either.
        """
        if setting.budget in (NOTHING, EVERYTHING):
            return self._without_choice(setting, pair)
        for candidate in (setting,) if setting.cuts_the_pool else (setting, replace(setting, extra=())):
            arms = self.arms(candidate)
            if found := [arms[arm][pair] for arm in sorted(arms) if is_random(arm) and pair in arms[arm]]:
                return found
        return []

    def _without_choice(self, setting: Setting, pair: Pair) -> list[Trial]:
        for candidate in (setting, replace(setting, extra=())):
            if found := [pairs[pair] for pairs in self.arms(candidate).values() if pair in pairs]:
                return found
        return self.nothing_added.get((setting.corpus, pair), []) if setting.budget == NOTHING else []

    @cached_property
    def nothing_added(self) -> Mapping[tuple[str, Pair], list[Trial]]:
        found: dict[tuple[str, Pair], list[Trial]] = defaultdict(list)
        for trial in self.trials:
            if trial.setting.budget == NOTHING and not trial.setting.extra:
                found[trial.setting.corpus, trial.pair].append(trial)
        return found


def _rank(word: str, known: Sequence[str]) -> tuple[int, str]:
    """Known words in their order, others after them."""
    return (known.index(word) if word in known else len(known), word)


def is_random(arm: str) -> bool:
    """`random` and its repeated draws, `random-2` and on; a stratified draw is a strategy of its own.

    >>> [is_random(arm) for arm in ("random", "random-2", "random-stratified")]
    [True, True, False]
    """
    return RANDOM.fullmatch(arm) is not None


def natural(value: Any) -> tuple[Any, ...]:
    """A key that sorts numbers as numbers, and before words."""
    return (1, 0.0, str(value)) if isinstance(value, str) else (0, float(value), "")


def read_results(directory: Path) -> Results:
    """The results of an experiment, finished or not.

    Files may be compressed (`gzip`), as results are kept. A line that cannot be read (the last one of a run that
    was cut off) is counted and left out; of a trial that was run twice the last line counts.

    Raises:
        NoResultsError: no file of results, a damaged one, or no trial in them.
    """
    try:
        lines = [line for path in files(directory) for line in content(path).split(b"\n")]
    except ResultsError as error:
        raise NoResultsError(str(error)) from None
    rows, unreadable = [], 0
    for line in filter(bytes.strip, lines):
        try:
            rows.append(_checked(orjson.loads(line)))
        except (ValueError, KeyError, TypeError):
            unreadable += 1
    if not rows:
        raise NoResultsError(
            f"{directory}: no trial in results/*.jsonl ({unreadable} unreadable lines): "
            "run `assay experiment run` first, or name its --out folder"
        )
    return results_from(rows, manifest=_manifest(directory), unreadable=unreadable)


def results_from(
    rows: Sequence[Mapping[str, Any]], *, manifest: Mapping[str, Any] | None = None, unreadable: int = 0
) -> Results:
    """Results from lines as they are in the files, budgets and noise in per cent."""
    satellite = _satellite_keys([row["trial"] for row in rows])
    settings: dict[Setting, Arms] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        trial = _trial(row, satellite)
        settings[trial.setting][trial.arm][trial.pair] = trial
    kept = sum(len(pairs) for arms in settings.values() for pairs in arms.values())
    ordered = {setting: dict(settings[setting]) for setting in sorted(settings, key=lambda setting: setting.order)}
    return Results(ordered, manifest or {}, unreadable, len(rows) - kept)


def _checked(row: Any) -> Mapping[str, Any]:
    """A line that `_trial` can take; raises KeyError, TypeError or ValueError."""
    trial = row["trial"]
    numbers = [float(trial[key]) for key in ("seed", "noise", "budget")]
    terms = [(float(over), float(under)) for by_domain in row["errors"].values() for over, under in by_domain.values()]
    if not all(map(math.isfinite, [*numbers, *(term for pair in terms for term in pair)])) or not terms:
        raise ValueError("a trial without finite errors")
    if any(not isinstance(trial[key], str) for key in ("corpus", "locale", "pool", "labels", "arm")):
        raise TypeError("a trial's names must be text")
    return row  # type: ignore[no-any-return]


def _satellite_keys(trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Keys beyond the core's -> the value that is the core's; None where only satellites carry the key.

    What every trial carries is part of the set-up: its most frequent value is the core.
    """
    keys = sorted({key for trial in trials for key in trial} - set(CORE))
    core: dict[str, Any] = {}
    for key in keys:
        values = Counter(_scalar(trial.get(key)) for trial in trials)
        core[key] = None if None in values else values.most_common(1)[0][0]
    return core


def _scalar(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value


def _trial(row: Mapping[str, Any], satellite: Mapping[str, Any]) -> Trial:
    values = row["trial"]
    found = {key: _scalar(values.get(key)) for key in satellite}
    extra = tuple((key, value) for key, value in found.items() if value not in (None, satellite[key]))
    return Trial(
        setting=Setting(
            values["corpus"],
            values["pool"],
            values["labels"],
            round(float(values["noise"]) / 100.0, 9),
            round(float(values["budget"]) / 100.0, 9),
            extra,
        ),
        pair=Pair(values["locale"], int(values["seed"])),
        arm=values["arm"],
        size=int(row.get("size") or 0),
        pool_size=int(row.get("pool_size") or 0),
        errors={
            metric: {domain: (float(over), float(under)) for domain, (over, under) in by_domain.items()}
            for metric, by_domain in row["errors"].items()
        },
        selected=row.get("selected") or {},
        seconds=row.get("seconds") or {},
        peak_rss_mb=float(row.get("peak_rss_mb") or math.nan),
        select_peak_mb=row.get("select_peak_mb"),
    )


def _manifest(directory: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

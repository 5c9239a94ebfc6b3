"""What is looked at, and when it is alarming: a change that is large, and no accident. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median
from typing import Any

from db.repositories.drift import Arrival, Reviewed
from plugin.quality.drift import (
    Change,
    calibration,
    mix_shift,
    ranking,
    ranking_loss,
    shift,
    stratified_share_change,
)

# What is no accident: once in a thousand looks at as many new cases, and only if it is large too.
ALPHA = 0.001
FEWEST_ERRORS = 10  # on either side, to say how well scores find them
ANY = "*"

OK, ALARM, TOO_FEW = "ok", "alarm", "too few"


@dataclass(frozen=True)
class Limits:
    """How far back is looked, how many cases it takes, and from when on a change is an alarm. Now is held to `before`
    times as long before it.
    """

    traffic: timedelta = timedelta(days=7)
    reviews: timedelta = timedelta(days=28)
    fewest: int = 500
    fewest_reviews: int = 100
    stability: float = 0.2
    ranking: float = 0.1
    accepts: float = 0.15
    calibration: float = 0.1
    before: int = 4


@dataclass(frozen=True)
class Material:
    """Of one locale. `column` is the score that its rounds go by, and `sign` -1 where low scores are hard."""

    locale: str
    column: str
    sign: int
    arrivals: tuple[Sequence[Arrival], Sequence[Arrival]]
    reviews: tuple[Sequence[Reviewed], Sequence[Reviewed]]


@dataclass(frozen=True)
class Seen:
    """One look at one thing; `value` is None where there is too little to look at."""

    kind: str
    domain: str
    state: str
    value: float | None
    threshold: float
    p: float
    before: int
    now: int
    sentence: str
    details: dict[str, Any] = field(default_factory=dict)


def examine(material: Material, limits: Limits) -> list[Seen]:
    """Everything of a locale, alarming or not."""
    return [
        domains(material, limits),
        *distributions("scores", material, limits, lambda row: row.score),
        *distributions("nlu_scores", material, limits, lambda row: row.nlu_score),
        ranking_seen(material, limits),
        accepts(material, limits),
        annotators(material, limits),
        calibration_seen(material, limits),
    ]


def judged(
    kind: str, domain: str, change: Change, threshold: float, fewest: int, said: Callable[[], str],
    details: Callable[[], dict[str, Any]] = dict, cases: str = "{before:,} before and {now:,} now",
) -> Seen:  # fmt: skip
    """`said` and `details` are asked for where there is something to say."""
    cases = cases.format(before=change.before, now=change.now)
    if min(change.before, change.now) < fewest or not math.isfinite(change.value):
        too_few = f"{cases}: it takes {fewest:,}"
        return Seen(kind, domain, TOO_FEW, None, threshold, 1.0, change.before, change.now, too_few)
    size = abs(change.value)
    state = ALARM if size >= threshold and change.p < ALPHA else OK
    sentence = f"{said()}; {cases}"
    return Seen(
        kind, domain, state, round(size, 4), threshold, change.p, change.before, change.now, sentence, details()
    )


def domains(material: Material, limits: Limits) -> Seen:
    """The mix of domains in what comes in."""
    before, now = ([row.domain or "(none)" for row in side] for side in material.arrivals)
    change = mix_shift(before, now)

    def moved() -> list[tuple[str, float, float]]:
        counts = Counter(before), Counter(now)
        shares = [(name, counts[0][name] / len(before), counts[1][name] / len(now)) for name in {*before, *now}]
        return sorted(shares, key=lambda row: (-abs(row[2] - row[1]), row[0]))[:5]

    def said() -> str:
        most = ", ".join(f"{name} {old:.0%} -> {new:.0%}" for name, old, new in moved()[:3])
        return f"mix of domains: stability index {change.value:.2f}; {most}"

    def details() -> dict[str, Any]:
        return {
            "moved": [{"domain": name, "before": round(old, 4), "now": round(new, 4)} for name, old, new in moved()]
        }

    return judged("domains", ANY, change, limits.stability, limits.fewest, said, details)


def distributions(
    kind: str, material: Material, limits: Limits, number: Callable[[Arrival], float | None]
) -> Iterator[Seen]:
    """Of one number of what comes in: over all domains, and in each that has enough."""
    name = material.column if kind == "scores" else "nlu_score"
    sides: list[dict[str, list[float]]] = []
    for rows in material.arrivals:
        values: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            if (value := number(row)) is not None:
                values[ANY].append(value)
                if row.domain is not None:
                    values[row.domain].append(value)
        sides.append(values)
    for domain in [ANY, *sorted({*sides[0], *sides[1]} - {ANY})]:
        before, now = (side.get(domain, []) for side in sides)
        if domain != ANY and min(len(before), len(now)) < limits.fewest:
            continue
        yield of_numbers(kind, domain, name, before, now, limits)


def of_numbers(
    kind: str, domain: str, name: str, before: Sequence[float], now: Sequence[float], limits: Limits
) -> Seen:
    change = shift(before, now)

    def said() -> str:
        where = "" if domain == ANY else f" in {domain}"
        return (
            f"{name}{where}: stability index {change.value:.2f}, largest distance {change.ks:.2f}; "
            f"median {median(before):.3f} -> {median(now):.3f}"
        )

    def details() -> dict[str, Any]:
        return {"score": name, "ks": round(change.ks, 4), "medians": [median(before), median(now)]}

    return judged(kind, domain, change, limits.stability, limits.fewest, said, details)


def control(rows: Sequence[Reviewed]) -> list[Reviewed]:
    """A uniform sample of what might have been asked, which no strategy has made harder."""
    return [row for row in rows if row.is_control]


def ranking_seen(material: Material, limits: Limits) -> Seen:
    """Whether high scores still mean wrong hypotheses."""
    sides = []
    for rows in material.reviews:
        told = [row for row in control(rows) if row.verdict != "reject" and row.score is not None]
        sides.append(
            ranking([material.sign * (row.score or 0.0) for row in told], [row.verdict == "fix" for row in told])
        )
    before, now = sides
    change = ranking_loss(before, now)
    if min(before.wrong, now.wrong) < FEWEST_ERRORS:
        change = Change(math.nan, 1.0, change.before, change.now)

    def said() -> str:
        return f"{material.column} puts a wrong hypothesis before a right one in {before.area:.0%} -> {now.area:.0%}"

    def details() -> dict[str, Any]:
        return {"score": material.column, "areas": [round(before.area, 4), round(now.area, 4)]}

    seen = judged("ranking", ANY, change, limits.ranking, limits.fewest_reviews, said, details)
    # That it became better is no alarm.
    return seen if seen.value is None or change.value > 0.0 else replace(seen, state=OK, value=0.0)


def accepts(material: Material, limits: Limits) -> Seen:
    """How many hypotheses of control items are accepted as they are, domain by domain."""
    sides = [by_domain(row for row in control(rows) if not row.shown_blind) for rows in material.reviews]
    change = stratified_share_change([(sides[0][name], sides[1][name]) for name in sorted({*sides[0], *sides[1]})])
    shares = [total_share(side) for side in sides]

    def said() -> str:
        return f"accepted of control items: {shares[0]:.0%} -> {shares[1]:.0%}, {change.value:+.0%} within domains"

    return judged("accepts", ANY, change, limits.accepts, limits.fewest_reviews, said)


def annotators(material: Material, limits: Limits) -> Seen:
    """Whether somebody accepts more, or less, than the others do in the same domains meanwhile."""
    rows = [row for row in material.reviews[1] if not row.shown_blind]
    most = first = strangest(rows, limits.fewest_reviews)
    strange: list[tuple[str, Change]] = []
    # Who is strange makes the others look strange beside them: each is looked at without those found before.
    while most is not None and most[1].p < ALPHA and abs(most[1].value) >= limits.accepts:
        name = most[0]
        strange.append(most)
        rows = [row for row in rows if row.annotator != name]
        most = strangest(rows, limits.fewest_reviews)

    def said() -> str:
        assert first is not None
        return f"{first[0]} accepts {first[1].value:+.0%} against the others in the same domains"

    def details() -> dict[str, Any]:
        return {"annotators": [{"annotator": name, "difference": round(one.value, 4)} for name, one in strange]}

    change = Change(math.nan, 1.0, len(rows), 0) if first is None else first[1]
    cases = "{before:,} reviews of theirs and {now:,} of one annotator"
    return judged("annotators", ANY, change, limits.accepts, limits.fewest_reviews, said, details, cases)


def strangest(rows: Sequence[Reviewed], fewest: int) -> tuple[str, Change] | None:
    """Who differs most from the others; of so many, somebody does by chance, and the p-value is Bonferroni's."""
    found = []
    for name in sorted({row.annotator for row in rows}):
        own, others = (
            by_domain(r for r in rows if r.annotator == name),
            by_domain(r for r in rows if r.annotator != name),
        )
        change = stratified_share_change([(others[domain], own[domain]) for domain in sorted(own)])
        if min(change.before, change.now) >= fewest:
            found.append((name, change))
    if not found:
        return None
    name, most = min(found, key=lambda row: (row[1].p, -abs(row[1].value)))
    return name, replace(most, p=min(most.p * len(found), 1.0))


def calibration_seen(material: Material, limits: Limits) -> Seen:
    """Whether the champion is as often right about the domain as it says, by the reviews of now."""
    rows = [row for row in control(material.reviews[1]) if row.said_domain is not None]
    sure = [min(max(1.0 - row.least_confidence, 0.0), 1.0) for row in rows]
    found = calibration(sure, [row.predicted_domain == row.said_domain for row in rows])
    change = Change(found.error, found.p, found.cases, found.cases)

    def said() -> str:
        way = "too sure" if found.gap > 0.0 else "not sure enough"
        return f"calibration error of domains {found.error:.1%}, {way} by {abs(found.gap):.1%}"

    return judged("calibration", ANY, change, limits.calibration, limits.fewest_reviews, said, cases="{now:,} now")


def by_domain(rows: Iterator[Reviewed] | Sequence[Reviewed]) -> dict[str, tuple[int, int]]:
    """Domain that was asked about -> accepted, reviewed."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in rows:
        accepted, cases = found[row.asked_domain]
        found[row.asked_domain] = accepted + (row.verdict == "accept"), cases + 1
    return found


def total_share(side: dict[str, tuple[int, int]]) -> float:
    cases = sum(cases for _, cases in side.values())
    return sum(accepted for accepted, _ in side.values()) / cases if cases else math.nan

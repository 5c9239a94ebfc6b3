"""Verdicts in plain words."""

from __future__ import annotations

from db.repositories.verdicts import ALL_DOMAINS, Verdict

ERRORS = {
    "semer": "semantic errors", "f_semer": "semantic errors (F-SEMER)", "irer": "wrong interpretations",
    "dcer": "domain errors", "icer": "intent errors",
}  # fmt: skip


def sentence(verdict: Verdict, *, fewest_seeds: int) -> str:
    """`entropy saved 38 % [22, 51] of labels in weather`, or why nothing can be said yet."""
    where = "" if verdict.domain == ALL_DOMAINS else f" in {verdict.domain}"
    match verdict.state:
        case "better" if verdict.labels_saved is not None and verdict.labels_saved_low is not None:
            span = interval(verdict.labels_saved_low, verdict.labels_saved_high)
            return f"{verdict.arm} saved {percent(verdict.labels_saved)}{span} of labels{where}"
        case "better" | "worse":
            more = "fewer" if verdict.state == "better" else "more"
            return f"{verdict.arm} makes {changed(verdict, more)} than random choice{where}"
        case "no difference":
            return f"{verdict.arm} and random choice make equally many {ERRORS[verdict.metric]}{where}{so_far(verdict)}"
    return f"not enough evidence on {verdict.arm}{where}: {what_is_missing(verdict, fewest_seeds)}{so_far(verdict)}"


def what_is_missing(verdict: Verdict, fewest_seeds: int) -> str:
    if verdict.seeds < fewest_seeds:
        seeds = "1 training seed" if verdict.seeds == 1 else f"{verdict.seeds} training seeds"
        return f"{seeds} cannot decide, and {fewest_seeds} are the fewest that can"
    if verdict.shrunken is None:
        return f"no {ERRORS[verdict.metric]} tell it from random choice on {verdict.n} test utterances"
    if verdict.control_labels_needed is not None:
        return f"about {verdict.control_labels_needed:,} more control labels needed"
    return "more control labels needed than can be foreseen"


def changed(verdict: Verdict, more: str) -> str:
    assert verdict.shrunken is not None
    low, high = verdict.shrunken_low, verdict.shrunken_high
    ends = sorted(abs(end) for end in (low, high) if end is not None)
    return f"{percent(abs(verdict.shrunken))}{interval(ends[0], ends[-1])} {more} {ERRORS[verdict.metric]}"


def so_far(verdict: Verdict) -> str:
    if verdict.shrunken is None:
        return ""
    span = interval(verdict.shrunken_low, verdict.shrunken_high, "+.0f")
    return f" ({percent(verdict.shrunken, '+.0f')}{span} {ERRORS[verdict.metric]} so far)"


def percent(share: float, form: str = ".0f") -> str:
    return f"{100.0 * share:{form}} %"


def interval(low: float | None, high: float | None, form: str = ".0f") -> str:
    return "" if low is None or high is None else f" [{100.0 * low:{form}}, {100.0 * high:{form}}]"

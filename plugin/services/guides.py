"""What annotators of a domain are told before they begin: examples of its labels, and how well it goes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from db.models.utterances import POOL
from db.repositories import guides, reviews
from plugin.label_studio.guide import EXAMPLES, Guide
from plugin.label_studio.queues import MetricLine
from plugin.records import Verdict

SHOWN = (POOL, "train", "dev")  # never what a test set asks


def read_guide(
    session: Session, locale: str, domain: str, metrics: Sequence[MetricLine] = (), evaluation: str = ""
) -> Guide:
    """`metrics`: what the last evaluation says of the domain; `evaluation` names it."""
    return Guide(
        intents=guides.utterances_of_intents(session, locale, domain, SHOWN, EXAMPLES),
        slots=guides.values_of_slots(session, locale, domain, SHOWN, EXAMPLES),
        quality=[*evaluated(metrics, evaluation), *reviewed(session, locale, domain)],
    )


def evaluated(lines: Sequence[MetricLine], name: str) -> list[str]:
    """In plain words: of a hundred utterances, how many."""
    by_name = {line.name: line for line in lines}
    if "IRER" not in by_name or "DCER" not in by_name:
        return []
    wrong, domain = by_name["IRER"], by_name["DCER"]
    anything = f"{hundred(wrong.value)} of 100 utterances{between(wrong)}"
    of_them = f"the domain in {hundred(domain.value)}{between(domain)}"
    return [f"In the last evaluation ({name}), our model got something wrong in {anything}, and {of_them}."]


def between(line: MetricLine) -> str:
    if line.low is None or line.high is None:
        return ""
    return f" (between {hundred(line.low)} and {hundred(line.high)}, with 95 % confidence)"


def hundred(share: float) -> str:
    """Small shares are not rounded away to none."""
    return f"{100 * share:.0f}" if share >= 0.095 or share == 0.0 else f"{100 * share:.1f}"


def reviewed(session: Session, locale: str, domain: str) -> list[str]:
    counts = dict.fromkeys(Verdict, 0)
    for showing in reviews.showings(session, locale, domain):
        counts[Verdict(showing.verdict)] += showing.reviews
    done = sum(counts.values())
    if not done:
        return []
    said = ", ".join(
        f"{word} {counts[verdict] / done:.0%}"
        for word, verdict in (("accepted", Verdict.ACCEPT), ("fixed", Verdict.FIX), ("rejected", Verdict.REJECT))
    )
    return [f"Reviewed so far: {done:,} of this domain; {said}."]

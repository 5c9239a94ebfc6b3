"""How far people agree, in numbers: over all, per domain, and per person.

Only independent answers count: a review and a second opinion of somebody else on the same revision. What an adjudicator
said of the two tells who was upheld, and is no third opinion.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.repositories import opinions, reworks
from db.repositories.opinions import Answer
from plugin.quality.agreement import Agreement, agreement
from plugin.quality.inference import Interval
from plugin.quality.proportions import share_interval
from plugin.records import Hypothesis
from plugin.services.agreement.cases import read_cases
from plugin.services.agreement.showing import to_label


@dataclass(frozen=True, slots=True)
class Pair:
    """Two independent answers to one question, and what was made of them. `domain` is what the assistant understood."""

    locale: str
    domain: str
    first: Answer
    second: Answer
    final: Answer | None

    @property
    def labels(self) -> tuple[Hypothesis | None, Hypothesis | None]:
        return to_label(self.first), to_label(self.second)

    def said_by(self, annotator: str) -> tuple[Answer, Answer]:
        """This person's answer, then the other's."""
        return (self.first, self.second) if self.first.annotator == annotator else (self.second, self.first)


def read_pairs(session: Session, instance: str, locale: str | None = None) -> list[Pair]:
    heard = opinions.compared(session, instance, locale)
    pairs = []
    for case in read_cases(session, instance, heard.keys()):
        first, second = case.first, case.second
        if first is not None and second is not None:
            pairs.append(Pair(*heard[case.utterance_id], first, second, case.final))
    return pairs


def report(session: Session, instance: str, locale: str | None = None) -> list[dict[str, Any]]:
    """A block for each locale in which two people have answered the same; JSON-ready."""
    by_locale: dict[str, list[Pair]] = defaultdict(list)
    for pair in read_pairs(session, instance, locale):
        by_locale[pair.locale].append(pair)
    return [of_locale(name, pairs) for name, pairs in sorted(by_locale.items())]


def of_locale(locale: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    by_domain, by_person = defaultdict(list), defaultdict(list)
    for pair in pairs:
        by_domain[pair.domain].append(pair)
        for answer in (pair.first, pair.second):
            by_person[answer.annotator].append(pair)
    return {
        "locale": locale,
        "overall": measures(pairs),
        "filled_in": measures([pair for pair in pairs if not pair.first.shown_blind]),
        "blind": measures([pair for pair in pairs if pair.first.shown_blind]),
        "differ": sum(not pair.first.agrees(pair.second) for pair in pairs),
        "adjudicated": sum(pair.final is not None for pair in pairs),
        "domains": {domain: measures(found) for domain, found in sorted(by_domain.items())},
        "annotators": {person: of_person(person, found) for person, found in sorted(by_person.items())},
    }


def measures(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Krippendorff's alpha: who said what does not matter."""
    labels = [pair.labels for pair in pairs]
    return parts(agreement([one for one, _ in labels], [other for _, other in labels]))


def of_person(annotator: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Cohen's kappa with the others together; and of what was adjudicated, how often this person's label was taken."""
    said = [pair.said_by(annotator) for pair in pairs]
    found = agreement([to_label(own) for own, _ in said], [to_label(other) for _, other in said], by_rater=True)
    decided = [(own, pair.final) for (own, _), pair in zip(said, pairs, strict=True) if pair.final is not None]
    upheld = share_interval(sum(own.agrees(final) for own, final in decided), len(decided))
    return parts(found) | {"upheld": values(upheld)}


def parts(found: Agreement) -> dict[str, Any]:
    named = {name: getattr(found, name) for name in ("whole", "domain", "intent", "slots")}
    return {"pairs": found.n} | {name: values(interval) for name, interval in named.items()}


def values(interval: Interval) -> dict[str, Any]:
    """None where it is not defined: nobody was compared, or only one name was ever said."""
    if math.isnan(interval.value):
        return {"value": None, "ci_low": None, "ci_high": None, "n": interval.n}
    low, high = (None if math.isnan(end) else end for end in (interval.low, interval.high))
    return {"value": interval.value, "ci_low": low, "ci_high": high, "n": interval.n}


def waiting(session: Session, instance: str) -> list[dict[str, Any]]:
    """What nobody who has worked on the locale so far can be asked, and why."""
    alone = (
        row
        for row in opinions.waiting(session, instance)
        if opinions.has_worked_alone(session, instance, row.locale, row.annotator)
    )
    skipped = reworks.stuck(session, instance)
    return [
        *(line(*row, why="second opinion") for row in alone),
        *(line(*row, why="skipped") for row in skipped),
    ]


def line(locale: str, annotator: str, tasks: int, why: str) -> dict[str, Any]:
    return {"locale": locale, "annotator": annotator, "tasks": tasks, "why": why}

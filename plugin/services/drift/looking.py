"""A look at a locale: read, examine without a transaction, write what is alarming."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy.orm import Session

from db.models import Alarm, SelectionRow
from db.repositories import alarms, drift, models, selections
from db.session import TransactionMaker
from plugin.quality.selection import needs
from plugin.quality.selection.ranking import RANKED_BY
from plugin.records import Strategy
from plugin.services import evaluation
from plugin.services.drift.checks import ALARM, ANY, TOO_FEW, Limits, Material, Seen, examine

log = logging.getLogger(__name__)

# More than these on a side say no more.
MOST_ARRIVALS = 20_000
# An alarm ends when its value has fallen so far below the threshold: at the threshold itself it would come and go.
ENDS_AT = 0.8


@dataclass(frozen=True)
class Look:
    """What a look at a locale saw, whom it alarmed, and which runs it asked for."""

    locale: str
    seen: list[Seen]
    raised: list[int]
    resolved: list[int]
    runs: list[int]


def due(session: Session, now: datetime, every: timedelta) -> list[str]:
    """Locales whose last look is long enough ago."""
    return alarms.due_locales(session, now - every)


def look(transaction: TransactionMaker, locale: str, now: datetime, limits: Limits) -> Look | None:
    """None where the locale has no model yet. Twice is as good as once: an alarm that is open is seen again."""
    with transaction() as session:
        material = read(session, locale, now, limits)
    if material is None:
        return None
    seen = examine(material, limits)
    with transaction() as session:
        return write(session, locale, now, limits, seen)


def read(session: Session, locale: str, now: datetime, limits: Limits) -> Material | None:
    champion = models.champion(session, locale)
    if champion is None:
        return None
    column, sign = watched(selections.current(session, locale))
    traffic = [now - (limits.before + 1) * limits.traffic, now - limits.traffic, now]
    reviews = [now - (limits.before + 1) * limits.reviews, now - limits.reviews, now]
    before, latest = (
        drift.arrivals(session, locale, champion.id, column, since, until, most=MOST_ARRIVALS)
        for since, until in pairwise(traffic)
    )
    then, lately = (drift.reviewed(session, locale, column, since, until) for since, until in pairwise(reviews))
    return Material(locale, column, sign, (before, latest), (then, lately))


def watched(round_: SelectionRow | None) -> tuple[str, int]:
    """The score that the locale's round goes by, and its hard end; entropy, which all models give, if it has none."""
    strategy = Strategy(round_.policy[ANY]["strategy"]) if round_ is not None and ANY in round_.policy else None
    column = None if strategy is None else needs(strategy).score
    if strategy is None or column is None:
        return RANKED_BY[Strategy.ENTROPY]
    return RANKED_BY.get(strategy, (column, -1 if column == "confidence" else 1))


def write(session: Session, locale: str, now: datetime, limits: Limits, seen: list[Seen]) -> Look:
    raised, resolved = [], []
    known = {(one.kind, one.domain): one for one in alarms.listed(session, locale=locale, limit=10_000)}
    for one in seen:
        if one.state == ALARM:
            assert one.value is not None
            alarm, is_new = alarms.raise_or_see(
                session, one.kind, locale, one.domain, value=one.value, threshold=one.threshold,
                sentence=one.sentence, details=one.details, at=now,
            )  # fmt: skip
            if is_new:
                log.warning("alarm %d raised for %s: %s", alarm.id, locale, one.sentence)
                raised.append(alarm.id)
    by_key = {(one.kind, one.domain): one for one in seen}
    for key, alarm in known.items():
        why = over(alarm, by_key.get(key), now, limits)
        if why and alarms.resolve(session, alarm.kind, locale, alarm.domain, now) is not None:
            log.info("alarm %d of %s is over: %s", alarm.id, locale, why)
            resolved.append(alarm.id)
    alarms.put_look(session, locale, now, [asdict(one) for one in seen])
    runs = [run.id for run in evaluation.start_on_drift(session, locale, now)] if raised else []
    for alarm_id in raised if runs else []:
        alarms.set_run(session, alarm_id, runs[0])
    return Look(locale, seen, raised, resolved, runs)


def over(alarm: Alarm, seen: Seen | None, now: datetime, limits: Limits) -> str:
    """Why an alarm is over; empty while it is not, or cannot be told."""
    if seen is None or seen.state == TOO_FEW or seen.value is None:
        longest = (limits.before + 1) * max(limits.traffic, limits.reviews)
        return "nothing is left to tell it by" if alarm.seen_at < now - longest else ""
    return seen.sentence if seen.value < ENDS_AT * seen.threshold else ""

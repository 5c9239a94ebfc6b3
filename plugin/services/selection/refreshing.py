"""Queues keep up with what comes in: by extensions of the round, or by a new round where that is due.

Nothing is asked for by messages of scoring: a look every few seconds finds the locales where something is new, each at
most once in `ASSAY_REFRESH_SECONDS`. So a burst costs no more than a trickle, and a lost message costs nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.models import Refresh, SelectionRow
from db.repositories import arrivals, models, polls, refreshes, selections, strata
from db.session import TransactionMaker
from plugin.services.policies import ANY
from plugin.services.selection import extensions, rounds
from plugin.services.selection.extensions import SEEN_BY_NOW

log = logging.getLogger(__name__)

# A look may miss what was committed a moment before it: the next sees it again.
OVERLAP = timedelta(seconds=30)
# What could not be refreshed is not tried again at once: a pool to be scored, a policy to be mended.
PATIENCE = timedelta(minutes=1)
# Settings that do not decide what a round holds.
BESIDE = frozenset({"train_on_weak", "blind_share", "overlap_share"})


@dataclass(frozen=True)
class Refreshed:
    """What a refresh made: a new round, an extension, or neither.

    why  of a new round
    """

    locale: str
    round_id: int | None = None
    extension_id: int | None = None
    why: str = ""
    waiting: int = 0
    problem: str | None = None

    @property
    def is_news(self) -> bool:
        return self.round_id is not None or self.extension_id is not None


def due(session: Session, every: timedelta) -> list[str]:
    """Locales where something is new and the last refresh is long enough ago."""
    now = polls.clock(session)
    return [locale for locale in refreshes.locales(session) if is_due(session, locale, now, every)]


def is_due(session: Session, locale: str, now: datetime, every: timedelta) -> bool:
    last = refreshes.get(session, locale)
    pause = every if last is None or last.problem is None else max(every, PATIENCE)
    if last is not None and now - last.began_at < pause:
        return False
    row = selections.current(session, locale)
    if row is None:
        return False
    if last is not None and last.problem is not None:
        return True
    since = looked_until(session, row, last)
    return bool(arrivals.any_since(session, locale, row.model_version_id, since) or why_anew(session, row))


def looked_until(session: Session, row: SelectionRow, last: Refresh | None) -> datetime:
    """What was scored before has been looked at. A look that broke off has seen nothing."""
    if last is not None and last.looked_at is not None:
        return last.looked_at - OVERLAP
    return strata.of_round(session, row.id)[-1].frame_watermark - SEEN_BY_NOW


def why_anew(session: Session, row: SelectionRow) -> str:
    """Why a round is to be replaced, however few have come in; empty: it goes on."""
    champion = models.champion(session, row.locale)
    if champion is not None and champion.id != row.model_version_id:
        return f"{champion.name} is the champion now"
    changes = arrivals.policy_changes(session, [row.locale, ANY], row.frame_watermark)
    if any(decides(change.before, change.after) for change in changes):
        return "the policy was changed"
    return ""


def decides(before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    """Whether a change of policy may change what a round holds."""
    old, new = (
        {name: value for name, value in (values or {}).items() if name not in BESIDE} for values in (before, after)
    )
    return old != new


def keep_up(transaction: TransactionMaker, locale: str, now: datetime, instance: str) -> Refreshed:
    """Bring a locale's round to what has come in. One at a time for a locale; twice is as good as once."""
    with transaction() as session:
        began_at = polls.clock(session)
        refreshes.begin(session, locale, began_at)
    try:
        done, waits_since = _keep_up(transaction, locale, now, instance)
    except LookupError as error:
        log.warning("%s is not refreshed: %s", locale, error)
        done = Refreshed(locale, problem=str(error))
        with transaction() as session:
            refreshes.put(session, locale, began_at, problem=done.problem)
        return done
    except Exception as error:
        with transaction() as session:
            refreshes.put(session, locale, began_at, problem=f"it broke off: {type(error).__name__}; the log says more")
        raise
    with transaction() as session:
        refreshes.put(
            session, locale, began_at, looked_at=began_at, waiting=done.waiting if waits_since else 0,
            waiting_since=waits_since,
        )  # fmt: skip
    return done


def _keep_up(
    transaction: TransactionMaker, locale: str, now: datetime, instance: str
) -> tuple[Refreshed, datetime | None]:
    with transaction() as session:
        row = selections.current(session, locale)
        why = "there is none yet" if row is None else why_anew(session, row)
        found = extensions.read_arrivals(session, row) if row is not None and not why else None
    if found is None:
        return anew(transaction, locale, now, instance, why), None
    distinct = found.distinct()
    if distinct.outgrow_the_round:
        return anew(transaction, locale, now, instance, "more came in than the round can be stretched over"), None
    return extend(transaction, locale, distinct, instance)


def anew(transaction: TransactionMaker, locale: str, now: datetime, instance: str, why: str) -> Refreshed:
    row, _ = rounds.refresh(transaction, locale, now, instance)
    if row is None:
        raise LookupError(f"no utterance of {locale} is eligible: see `assay policy show --locale {locale}`")
    log.info("round %d of %s: %s", row.id, locale, why)
    return Refreshed(locale, round_id=row.id, why=why)


def extend(
    transaction: TransactionMaker, locale: str, distinct: extensions.Distinct, instance: str
) -> tuple[Refreshed, datetime | None]:
    extension_id = None
    if distinct.stretches:
        with transaction() as session:
            snapshot = extensions.complete(session, distinct)
        items = rounds.choose(snapshot)
        with transaction() as session:
            row = extensions.write(session, distinct, snapshot, items, instance)
            extension_id = None if row is None else row.id
    waiting = distinct.waiting
    with transaction() as session:
        version_id = distinct.arrivals.round.model_version_id
        waits_since = arrivals.first_scored_at(session, version_id, [row.id for row in waiting])
    return Refreshed(locale, extension_id=extension_id, waiting=len(waiting)), waits_since

"""Extensions: what came in since a round looked is given its places in it, and the last items leave for them.

Read, think without a transaction, write; the pure part is `plugin.quality.selection.extending`.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.models import SelectionRow
from db.repositories import arrivals, polls, queues, selections, strata
from db.repositories.opinions import LAST_CODES
from db.repositories.selections import Candidate
from db.repositories.strata import StratumItem
from plugin.quality.selection import (
    SelectedItem,
    Stretch,
    extension_policy,
    least_places,
    leave,
    stretched,
)
from plugin.records import Policy
from plugin.services import policies
from plugin.services.bandits import CHOSEN_BY
from plugin.services.policies import ANY
from plugin.services.selection.ordering import arrange
from plugin.services.selection.packing import unpack_ids
from plugin.services.selection.rounds import STRETCH, is_eligible, store, widest_band, without_near_duplicates
from plugin.services.selection.snapshots import Snapshot, round_of, score_columns, with_features

# Scores are seen when their transaction ends, later than they say; none lasts nearly as long.
SEEN_BY_NOW = timedelta(minutes=2)
# More arrivals than this share of the round's frame, and the round is too old to be stretched: a new one is due.
MOST_ARRIVALS = 0.25


@dataclass(frozen=True)
class Arrivals:
    """What came in, as read: near-duplicates too. `taken` is what has been labelled, or is being asked about.

    newest_id  the last stratum of the round
    stretches  of each part of the round (`*`, and each domain with a budget of its own)
    extended   how many arrivals the round's extensions had, over all parts
    """

    round: SelectionRow
    newest_id: int
    rounds: Mapping[str, Policy]
    stretches: Mapping[str, Stretch]
    extended: int
    rows: Sequence[Candidate]
    columns: tuple[str, ...]
    taken: Sequence[str]
    watermark: datetime

    def distinct(self) -> Distinct:
        """Takes long, so not within a transaction."""
        return Distinct(self, without_near_duplicates(self.rows, self.taken))


@dataclass(frozen=True)
class Distinct:
    """Arrivals of which each may be asked about."""

    arrivals: Arrivals
    rows: Sequence[Candidate]

    @cached_property
    def parts(self) -> Mapping[str, Sequence[Candidate]]:
        """By the part of the round that they belong to."""
        found: dict[str, list[Candidate]] = defaultdict(list)
        for row in self.rows:
            found[round_of(row, self.arrivals.rounds)].append(row)
        return found

    @property
    def outgrow_the_round(self) -> bool:
        return self.arrivals.extended + len(self.rows) > MOST_ARRIVALS * self.arrivals.round.frame_size

    @cached_property
    def stretches(self) -> Mapping[str, Stretch]:
        """Of the parts that have arrivals enough for a place of each arm."""
        found = {}
        for part, rows in sorted(self.parts.items()):
            policy, before = self.arrivals.rounds[part], self.arrivals.stretches[part]
            after = stretched(before, policy.budget, len(rows))
            if after.places - before.places >= least_places(policy):
                found[part] = after
        return found

    @property
    def waiting(self) -> list[Candidate]:
        return [row for part, rows in self.parts.items() if part not in self.stretches for row in rows]

    def snapshot(self) -> Snapshot:
        """Of an extension."""
        arrivals = self.arrivals
        rounds = {}
        for part, after in self.stretches.items():
            before = arrivals.stretches[part].places
            rounds[part] = extension_policy(arrivals.rounds[part], before, after.places - before)
        columns = score_columns(rounds)  # of fewer parts than the round has, perhaps
        at = [arrivals.columns.index(name) for name in columns]
        rows = [row._replace(scores=tuple(row.scores[place] for place in at)) for row in self.rows_of(rounds)]
        round_ = arrivals.round
        return Snapshot(round_.locale, round_.model_version_id, arrivals.watermark, rounds, rows, columns)

    def rows_of(self, parts: Iterable[str]) -> list[Candidate]:
        return sorted((row for part in parts for row in self.parts[part]), key=lambda row: row.id)


def read_arrivals(session: Session, row: SelectionRow) -> Arrivals:
    """What a round has not looked at: eligible, scored by its model, in none of its frames."""
    watermark = polls.clock(session)
    of_round = strata.of_round(session, row.id)
    rounds = {part: policies.from_json(values) for part, values in row.policy.items()}
    resolved = policies.resolve(session, row.locale)
    columns = score_columns(rounds)
    since = of_round[-1].frame_watermark - SEEN_BY_NOW
    band = widest_band(resolved.values())
    found = arrivals.candidates(session, row.locale, row.model_version_id, band, columns, since)
    known = seen(session, of_round)
    return Arrivals(
        round=row,
        newest_id=of_round[-1].id,
        rounds=rounds,
        stretches={part: last_stretch(of_round, part) for part in rounds},
        extended=sum(stratum.frame_size for stratum in of_round[1:]),
        rows=[
            candidate
            for candidate in found
            if (candidate.id, candidate.revision) not in known
            and is_eligible(candidate, resolved.get(candidate.domain, resolved[ANY]))
        ],
        columns=columns,
        taken=[*selections.labelled_texts(session, row.locale), *arrivals.item_texts(session, row.id)],
        watermark=watermark,
    )


def seen(session: Session, of_round: Sequence[SelectionRow]) -> set[tuple[int, int]]:
    """(utterance, revision) of every frame of a round."""
    known: set[tuple[int, int]] = set()
    for stratum in of_round:
        frame = selections.frame(session, stratum.id)
        revisions = np.frombuffer(zlib.decompress(frame.revisions), dtype="<i4")
        known.update(zip(unpack_ids(frame.ids).tolist(), revisions.tolist(), strict=True))
    return known


def last_stretch(of_round: Sequence[SelectionRow], part: str) -> Stretch:
    return Stretch(**next(row.policy[part][STRETCH] for row in reversed(of_round) if part in row.policy))


def complete(session: Session, distinct: Distinct) -> Snapshot:
    """Of an extension, with its features. Raises UnusableError when scores lack what the strategy looks at."""
    return with_features(session, distinct.snapshot())


def write(
    session: Session, distinct: Distinct, snapshot: Snapshot, items: Sequence[SelectedItem], instance: str
) -> SelectionRow | None:
    """Store the extension, and drop whom it takes the places of. None when the round has gone on in between."""
    arrivals_ = distinct.arrivals
    selections.lock_locale(session, snapshot.locale)
    current = selections.current(session, snapshot.locale)
    if current is None or strata.of_round(session, current.id)[-1].id != arrivals_.newest_id:
        return None
    described = {part: {STRETCH: asdict(after), **played(current, part)} for part, after in distinct.stretches.items()}
    waits_since = arrivals.first_scored_at(session, snapshot.version_id, [row.id for row in distinct.waiting])
    row = store(session, snapshot, items, current.seed, extends_id=current.id, described=described)
    if waits_since is not None:
        row.frame_watermark = min(row.frame_watermark, waits_since)
    dropped = [item for part in distinct.stretches for item in too_many(session, current, part, instance)]
    strata.drop(session, dropped, row.id)
    changed = {item.domain for item in items} | {item.domain for item in dropped}
    queues.ensure(session, instance, snapshot.locale, changed)
    return row


def played(row: SelectionRow, part: str) -> dict[str, Any]:
    """Of a round whose strategy a bandit chose."""
    return {CHOSEN_BY: row.policy[part][CHOSEN_BY]} if CHOSEN_BY in row.policy[part] else {}


def too_many(session: Session, row: SelectionRow, part: str, instance: str) -> list[StratumItem]:
    """Who leaves so that a part of the round keeps its budget: the open items furthest back in their queues."""
    policy = policies.from_json(row.policy[part])
    by_domain: dict[str, list[StratumItem]] = defaultdict(list)
    for item in strata.items(session, row.id):
        if part == (item.domain if item.domain in row.policy else ANY):
            by_domain[item.domain].append(item)
    there = {queue.domain: queues.tasks(session, queue.id) for queue in queues.of_locale(session, instance, row.locale)}
    orders: dict[str, list[StratumItem | None]] = {}  # None: served already, it stays
    for domain, items in by_domain.items():
        tasks = there.get(domain, ())
        done = [task.utterance_id for task in tasks if task.state == "annotated" or task.rank_code >= LAST_CODES]
        served = [task.utterance_id for task in tasks if task.state == "published"]
        kept = {item.utterance_id for item in items if not item.is_dropped}
        finished: list[StratumItem | None] = [None for utterance_id in done if utterance_id in kept]
        orders[domain] = [*finished, *arrange(items, policy.strategy, served, done)]
    excess = sum(map(len, orders.values())) - policy.budget
    places = leave({name: [item is not None for item in order] for name, order in orders.items()}, excess)
    leaving = [orders[name][at] for name, found in places.items() for at in found]
    return [item for item in leaving if item is not None]

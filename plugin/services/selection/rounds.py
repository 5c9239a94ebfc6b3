"""A round of selection: read the frame, choose without a transaction, write the snapshot."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.models import SelectionRow
from db.repositories import models, polls, queues, scores, selections
from db.repositories.selections import Candidate
from db.session import TransactionMaker
from plugin import __version__
from plugin.quality.selection import SelectedItem, Stretch, frame_hash, near_duplicates, needs, select
from plugin.records import Policy
from plugin.services import policies
from plugin.services.policies import ANY
from plugin.services.selection.packing import items_hash, pack_ids, unpack_ids
from plugin.services.selection.snapshots import (
    Snapshot,
    UnscoredError,
    score_columns,
    to_frame,
    with_features,
    with_plays,
)

# In the policy that a round stores, of each of its parts: how far it has been stretched (`quality.selection.Stretch`).
STRETCH = "stretch"

# A stream never ends: what has just come in waits for its score, and for the next round.
JUST_CAME_IN = timedelta(minutes=5)


@dataclass(frozen=True)
class Eligible:
    """What may enter a round, as read: near-duplicates too. `labelled` is what people have said about already."""

    locale: str
    version_id: int
    watermark: datetime
    rounds: Mapping[str, Policy]
    rows: Sequence[Candidate]
    columns: tuple[str, ...]
    labelled: Sequence[str]

    def distinct(self) -> list[Candidate]:
        """Takes long, so not within a transaction."""
        return without_near_duplicates(self.rows, self.labelled)


def refresh(
    transaction: TransactionMaker, locale: str, now: datetime, instance: str, *, seed: int | None = None
) -> tuple[SelectionRow | None, list[SelectedItem]]:
    """A new round and the queues it will fill, marked to be published. An empty round is not stored."""
    with transaction() as session:
        eligible = read_eligible(session, locale, min(now, polls.clock(session)), seed=seed)
    distinct = eligible.distinct()
    with transaction() as session:
        snapshot = complete(session, eligible, distinct)
    items = choose(snapshot)
    if not items:
        return None, []
    with transaction() as session:
        row = write(session, snapshot, items)
        queues.ensure(session, instance, locale, {item.domain for item in items})
        queues.mark_dirty(session, instance, locale)
    return row, items


def read(session: Session, locale: str, now: datetime, *, seed: int | None = None) -> Snapshot:
    """The locale's eligible frame under its policies; raises as `read_eligible` and `complete`."""
    eligible = read_eligible(session, locale, now, seed=seed)
    return complete(session, eligible, eligible.distinct())


def read_eligible(session: Session, locale: str, now: datetime, *, seed: int | None = None) -> Eligible:
    """Raises LookupError when the locale has no champion, UnscoredError when the champion has not scored all of its
    pool but the newest.
    """
    champion = models.champion(session, locale)
    if champion is None:
        raise LookupError(f"no model is promoted for {locale}: run `assay evaluation train --locale {locale}` first")
    unscored = scores.count_unscored(session, champion.id, [locale], older_than=JUST_CAME_IN)
    if unscored:
        raise UnscoredError(
            f"{unscored} utterances of {locale} are not scored by its champion {champion.name}: "
            f"run `assay scoring backfill --locale {locale}` first"
        )
    resolved = policies.resolve(session, locale)
    if seed is not None:
        resolved = {domain: replace(policy, seed=seed) for domain, policy in resolved.items()}
    own = policies.own_rounds(session, locale)
    rounds = {domain: policy for domain, policy in resolved.items() if domain == ANY or domain in own}
    columns = score_columns(rounds)
    rows = selections.candidates(session, locale, champion.id, widest_band(resolved.values()), columns)
    eligible = [row for row in rows if is_eligible(row, resolved.get(row.domain, resolved[ANY]))]
    labelled = selections.labelled_texts(session, locale)
    return Eligible(locale, champion.id, now, rounds, eligible, columns, labelled)


def complete(session: Session, eligible: Eligible, distinct: Sequence[Candidate]) -> Snapshot:
    """With the strategies that `auto` and bandits play, and features. Raises UnusableError when scores lack what one
    looks at.
    """
    snapshot = Snapshot(
        eligible.locale, eligible.version_id, eligible.watermark, eligible.rounds, distinct, eligible.columns
    )
    return with_features(session, with_plays(session, snapshot))


def without_near_duplicates(rows: Sequence[Candidate], taken: Iterable[str]) -> list[Candidate]:
    """Logs repeat themselves, nearly: the oldest enters, and none of what is taken, so that no one is asked twice."""
    drops = near_duplicates([row.text for row in rows], taken)
    return [row for row, drop in zip(rows, drops, strict=True) if not drop]


def widest_band(resolved: Iterable[Policy]) -> tuple[float, float]:
    bands = [policy.nlu_band for policy in resolved]
    return min(low for low, _ in bands), max(high for _, high in bands)


def is_eligible(row: Candidate, policy: Policy) -> bool:
    """The band is closed at the precision in which scores are stored."""
    if row.nlu_score is None or (policy.exclude_defects and row.defect):
        return False
    low, high = map(np.float32, policy.nlu_band)
    return bool(low <= np.float32(row.nlu_score) <= high)


def choose(snapshot: Snapshot) -> list[SelectedItem]:
    """The items of every round of the snapshot; pure."""
    items: list[SelectedItem] = []
    for domain, policy in sorted(snapshot.rounds.items()):
        items.extend(select(to_frame(snapshot, snapshot.places[domain], needs(policy.strategy).features), policy))
    return sorted(items, key=lambda item: (item.domain, item.rank))


def write(session: Session, snapshot: Snapshot, items: Sequence[SelectedItem]) -> SelectionRow:
    """Store the round as the locale's current one."""
    selections.lock_locale(session, snapshot.locale)
    return store(session, snapshot, items, snapshot.rounds[ANY].seed)


def store(
    session: Session,
    snapshot: Snapshot,
    items: Sequence[SelectedItem],
    seed: int,
    *,
    extends_id: int | None = None,
    described: Mapping[str, Mapping[str, Any]] | None = None,
) -> SelectionRow:
    """A round or an extension, with all that its replay needs. `described`: more on the policy of each of its parts."""
    revisions = {row.id: row.revision for row in snapshot.rows}
    row = selections.add(
        session,
        SelectionRow(
            extends_id=extends_id,
            locale=snapshot.locale,
            model_version_id=snapshot.version_id,
            policy={
                domain: stored_policy(snapshot, domain) | dict((described or {}).get(domain, {}))
                for domain in snapshot.rounds
            },
            frame_watermark=snapshot.watermark,
            frame_hash=whole_hash(snapshot),
            frame_size=len(snapshot.rows),
            items_hash=items_hash(items),
            seed=seed,
            code_version=__version__,
        ),
        pack_ids(np.array([row.id for row in snapshot.rows], dtype=np.int64)),
        zlib.compress(np.array([row.revision for row in snapshot.rows], dtype="<i4").tobytes()),
    )
    selections.add_items(
        session,
        (
            (row.id, item.utterance_id, revisions[item.utterance_id], item.domain, item.rank,
             [arm.value for arm in item.arms], item.composition, item.inclusion_probability, item.score)
            for item in items
        ),
    )  # fmt: skip
    return row


def whole_hash(snapshot: Snapshot) -> str:
    """Of the frame of all its rounds."""
    return frame_hash(to_frame(snapshot, range(len(snapshot.rows)), snapshot.features))


def stored_policy(snapshot: Snapshot, domain: str) -> dict[str, Any]:
    play = snapshot.plays.get(domain)
    frame = {STRETCH: asdict(Stretch(len(snapshot.places[domain])))}
    return policies.to_json(snapshot.rounds[domain]) | frame | (dict(play.described) if play else {})


def replay(session: Session, selection_id: int) -> tuple[SelectionRow, Snapshot]:
    """A stored round's snapshot, to choose from again. Raises LookupError when there is no such round."""
    row = selections.get(session, selection_id)
    if row is None:
        raise LookupError(f"no selection has id {selection_id}")
    rounds = {domain: policies.from_json(values) for domain, values in row.policy.items()}
    columns = score_columns(rounds)
    rows = stored_rows(session, row, columns)
    snapshot = Snapshot(row.locale, row.model_version_id, row.frame_watermark, rounds, rows, columns, replays=row.id)
    return row, with_features(session, snapshot)


def stored_rows(session: Session, row: SelectionRow, columns: Sequence[str]) -> list[Candidate]:
    """The frame of a stored round, as it was."""
    frame = selections.frame(session, row.id)
    ids, revisions = unpack_ids(frame.ids), np.frombuffer(zlib.decompress(frame.revisions), dtype="<i4")
    return selections.candidates_as_they_were(session, row.model_version_id, ids.tolist(), revisions.tolist(), columns)

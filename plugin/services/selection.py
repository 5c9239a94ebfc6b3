"""A round of selection: read the frame, choose without a transaction, write the snapshot.

What is written can be replayed byte for byte: the policies, the frame (ids and revisions), the immutable scores of
one model version, and the seed determine the items.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.models import SelectionRow
from db.repositories import models, queues, scores, selections
from db.repositories.selections import Candidate
from db.session import TransactionMaker
from plugin import __version__
from plugin.quality.selection import Frame, SelectedItem, frame_hash, select
from plugin.records import Policy, Strategy
from plugin.services import policies
from plugin.services.policies import ANY

# A stream never ends: what has just come in waits for its score, and for the next round.
JUST_CAME_IN = timedelta(minutes=5)


class UnscoredError(LookupError):
    """Of a partly scored pool, the control arm would be no uniform sample and the inclusion probabilities wrong."""


@dataclass(frozen=True)
class Snapshot:
    """All that a round depends on. `rounds` maps `*`, and each domain with a budget of its own, to its policy."""

    locale: str
    version_id: int
    watermark: datetime
    rounds: Mapping[str, Policy]
    rows: Sequence[Candidate]


def refresh(
    transaction: TransactionMaker, locale: str, now: datetime, instance: str, *, seed: int | None = None
) -> tuple[SelectionRow | None, list[SelectedItem]]:
    """A new round and the queues it will fill, marked to be published. An empty round is not stored."""
    with transaction() as session:
        snapshot = read(session, locale, now, seed=seed)
    items = choose(snapshot)
    if not items:
        return None, []
    with transaction() as session:
        row = write(session, snapshot, items)
        queues.ensure(session, instance, locale, {item.domain for item in items})
        queues.mark_dirty(session, instance, locale)
    return row, items


def read(session: Session, locale: str, now: datetime, *, seed: int | None = None) -> Snapshot:
    """The locale's eligible frame under its policies. Raises LookupError when it has no champion, UnscoredError (a
    LookupError too) when the champion has not scored all of its pool but the newest.
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
    rows = selections.candidates(session, locale, champion.id, widest_band(resolved.values()))
    own = policies.own_rounds(session, locale)
    return Snapshot(
        locale,
        champion.id,
        now,
        {domain: policy for domain, policy in resolved.items() if domain == ANY or domain in own},
        one_of_each_text(row for row in rows if is_eligible(row, resolved.get(row.domain, resolved[ANY]))),
    )


def one_of_each_text(rows: Iterable[Candidate]) -> list[Candidate]:
    """Logs repeat themselves: of utterances with one text the oldest enters, so that a round never asks twice."""
    oldest: dict[int, Candidate] = {}
    for row in rows:
        oldest.setdefault(row.same_text, row)
    return list(oldest.values())


def widest_band(resolved: Iterable[Policy]) -> tuple[float, float]:
    bands = [policy.nlu_band for policy in resolved]
    return min(low for low, _ in bands), max(high for _, high in bands)


def is_eligible(row: Candidate, policy: Policy) -> bool:
    low, high = policy.nlu_band
    if policy.exclude_defects and row.defect:
        return False
    if policy.strategy is Strategy.EL2N and row.el2n is None:
        return False
    return row.nlu_score is not None and low <= row.nlu_score <= high


def choose(snapshot: Snapshot) -> list[SelectedItem]:
    """The items of every round of the snapshot; pure."""
    items: list[SelectedItem] = []
    for domain, policy in sorted(snapshot.rounds.items()):
        rows = [row for row in snapshot.rows if round_of(row, snapshot.rounds) == domain]
        items.extend(select(to_frame(rows), policy))
    return sorted(items, key=lambda item: (item.domain, item.rank))


def round_of(row: Candidate, rounds: Mapping[str, Policy]) -> str:
    return row.domain if row.domain in rounds else ANY


def to_frame(rows: Sequence[Candidate]) -> Frame:
    return Frame(
        ids=np.array([row.id for row in rows], dtype=np.int64),
        domains=np.array([row.domain for row in rows], dtype=np.str_),
        scores={
            "entropy": np.array([row.entropy for row in rows], dtype=np.float64),
            "el2n": np.array([np.nan if row.el2n is None else row.el2n for row in rows], dtype=np.float64),
        },
    )


def write(session: Session, snapshot: Snapshot, items: Sequence[SelectedItem]) -> SelectionRow:
    """Store the round as the locale's current one."""
    selections.lock_locale(session, snapshot.locale)
    revisions = {row.id: row.revision for row in snapshot.rows}
    row = selections.add(
        session,
        SelectionRow(
            locale=snapshot.locale,
            model_version_id=snapshot.version_id,
            policy={domain: policies.to_json(policy) for domain, policy in snapshot.rounds.items()},
            frame_watermark=snapshot.watermark,
            frame_hash=frame_hash(to_frame(snapshot.rows)),
            frame_size=len(snapshot.rows),
            items_hash=items_hash(items),
            seed=snapshot.rounds[ANY].seed,
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


def replay(session: Session, selection_id: int) -> tuple[SelectionRow, Snapshot]:
    """A stored round's snapshot, to choose from again. Raises LookupError when there is no such round."""
    row = selections.get(session, selection_id)
    if row is None:
        raise LookupError(f"no selection has id {selection_id}")
    frame = selections.frame(session, selection_id)
    ids = unpack_ids(frame.ids)
    revisions = np.frombuffer(zlib.decompress(frame.revisions), dtype="<i4")
    rows = selections.candidates_as_they_were(session, row.model_version_id, ids.tolist(), revisions.tolist())
    rounds = {domain: policies.from_json(values) for domain, values in row.policy.items()}
    return row, Snapshot(row.locale, row.model_version_id, row.frame_watermark, rounds, rows)


def items_hash(items: Sequence[SelectedItem]) -> str:
    """SHA-256 over every field of every item, in the order (domain, rank)."""
    lines = [
        json.dumps(
            [item.utterance_id, item.domain, item.rank, [arm.value for arm in item.arms], item.composition,
             item.inclusion_probability.hex(), None if item.score is None else float(item.score).hex()],
            ensure_ascii=False,
        )
        for item in items
    ]  # fmt: skip
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def pack_ids(ids: NDArray[np.int64]) -> bytes:
    return zlib.compress(np.diff(ids, prepend=0).astype("<i8").tobytes())


def unpack_ids(packed: bytes) -> NDArray[np.int64]:
    return np.cumsum(np.frombuffer(zlib.decompress(packed), dtype="<i8"))

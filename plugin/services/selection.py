"""A round of selection: read the frame, choose without a transaction, write the snapshot.

What is written can be replayed byte for byte: the policies, the frame (ids and revisions), the immutable scores and
features of one model version, and the seed determine the items.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.models import SelectionRow
from db.repositories import models, queues, scores, selections
from db.repositories.selections import Candidate
from db.session import TransactionMaker
from plugin import __version__
from plugin.quality.bandit import Play
from plugin.quality.selection import LABEL_ERROR, Frame, SelectedItem, frame_hash, near_duplicates, needs, select
from plugin.records import Policy, Strategy
from plugin.services import bandits, noise, policies
from plugin.services.policies import ANY

# Scores that cost something: models give them only when they were trained with these settings.
TURNED_ON_BY = {
    "variability": "ASSAY_SNAPSHOTS",
    "forgetting": "ASSAY_SNAPSHOTS",
    "dropout_mutual_information": "ASSAY_DROPOUT_PASSES",
}
# A stream never ends: what has just come in waits for its score, and for the next round.
JUST_CAME_IN = timedelta(minutes=5)


class UnscoredError(LookupError):
    """Of a partly scored pool, the control arm would be no uniform sample and the inclusion probabilities wrong."""


class UnusableError(LookupError):
    """The model's scores lack what the policy's strategy looks at."""


@dataclass(frozen=True)
class Snapshot:
    """All that a round depends on. `rounds` maps `*`, and each domain with a budget of its own, to its policy.

    `plays` says of the rounds of a bandit why their policies have the strategy that they have.
    `columns` names the scores of each row. `features` has a matrix (N, F) for each that some round compares by; the
    rows of the other rounds are NaN. `label_error` (N,) is there where some round has a noise share.
    """

    locale: str
    version_id: int
    watermark: datetime
    rounds: Mapping[str, Policy]
    rows: Sequence[Candidate]
    columns: tuple[str, ...]
    features: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    plays: Mapping[str, Play] = field(default_factory=dict)
    label_error: NDArray[np.float64] | None = None


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
    """The locale's eligible frame under its policies.

    Raises LookupError when it has no champion, UnscoredError when the champion has not scored all of its pool but the
    newest, UnusableError when its scores lack what a strategy looks at (both LookupErrors too).
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
    distinct = without_near_duplicates(eligible, selections.labelled_texts(session, locale))
    return with_features(session, with_plays(session, Snapshot(locale, champion.id, now, rounds, distinct, columns)))


def score_columns(rounds: Mapping[str, Policy]) -> tuple[str, ...]:
    strategies = {strategy for policy in rounds.values() for strategy in bandits.possible(policy.strategy)}
    return tuple(sorted({score for strategy in strategies if (score := needs(strategy).score)}))


def with_plays(session: Session, snapshot: Snapshot) -> Snapshot:
    """Each round of a bandit under the strategy that it plays, and no scores but those that are looked at."""
    plays = {
        domain: bandits.settle(
            session, snapshot.locale, snapshot.version_id, domain, policy,
            [snapshot.rows[at] for at in rows_of(snapshot, domain)], snapshot.columns,
        )
        for domain, policy in snapshot.rounds.items()
        if policy.strategy is Strategy.BANDIT
    }  # fmt: skip
    if not plays:
        return snapshot
    rounds = {**snapshot.rounds}
    for domain, play in plays.items():
        rounds[domain] = replace(rounds[domain], strategy=play.strategy)
    columns = score_columns(rounds)
    places = [snapshot.columns.index(name) for name in columns]
    rows = [row._replace(scores=tuple(row.scores[at] for at in places)) for row in snapshot.rows]
    return replace(snapshot, rounds=rounds, rows=rows, columns=columns, plays=plays)


def without_near_duplicates(rows: Sequence[Candidate], labelled: Iterable[str]) -> list[Candidate]:
    """Logs repeat themselves, nearly: the oldest enters, and none of what people have labelled, so that no one is asked
    twice.
    """
    drops = near_duplicates([row.text for row in rows], labelled)
    return [row for row, drop in zip(rows, drops, strict=True) if not drop]


def with_features(session: Session, snapshot: Snapshot) -> Snapshot:
    """The features that its rounds compare by; all its rows have what their strategy looks at, or UnusableError."""
    for domain, policy in snapshot.rounds.items():
        check_scores(session, snapshot, domain, policy)
    wanted = {name for policy in snapshot.rounds.values() for name in needs(policy.strategy).features}
    features = {name: read_feature(session, snapshot, name) for name in sorted(wanted)}
    return replace(snapshot, features=features, label_error=read_label_error(session, snapshot))


def check_scores(session: Session, snapshot: Snapshot, domain: str, policy: Policy) -> None:
    column = needs(policy.strategy).score
    if column is None:
        return
    at = snapshot.columns.index(column)
    missing = sum(snapshot.rows[row].scores[at] is None for row in rows_of(snapshot, domain))
    if missing:
        raise unusable(session, snapshot, policy, missing, column)


def read_feature(session: Session, snapshot: Snapshot, name: str) -> NDArray[np.float16]:
    """(N, F); one feature at a time, so that memory holds each once."""
    strategies = {
        domain: policy for domain, policy in snapshot.rounds.items() if name in needs(policy.strategy).features
    }
    wanted = [row for domain in strategies for row in rows_of(snapshot, domain)]
    place = {snapshot.rows[row].id: row for row in wanted}
    found = selections.features(
        session, snapshot.version_id, list(place), [snapshot.rows[row].revision for row in wanted], [name]
    )
    matrix = np.full((len(snapshot.rows), 0), np.nan, dtype=np.float16)
    for count, (id_, vector) in enumerate(found, start=1):
        if count == 1:
            matrix = np.full((len(snapshot.rows), len(vector) // 2), np.nan, dtype=np.float16)
        matrix[place.pop(id_)] = np.frombuffer(vector, dtype="<f2")
    if place:
        raise unusable(session, snapshot, next(iter(strategies.values())), len(place), name)
    return matrix


def read_label_error(session: Session, snapshot: Snapshot) -> NDArray[np.float64] | None:
    """(N,) over the whole frame, whichever rounds have a noise share; None where none has."""
    guarded = [domain for domain, policy in snapshot.rounds.items() if policy.noise_share]
    if not guarded:
        return None
    found = noise.label_errors(session, snapshot.version_id, snapshot.rows)
    missing = sum(int(np.isnan(found[rows_of(snapshot, domain)]).sum()) for domain in guarded)
    if missing:
        raise UnusableError(
            f"the noise share looks at {noise.DOMAIN_PROBS!r}, which the champion does not give for {missing} eligible "
            f"utterances of {snapshot.locale}: run `assay evaluation train --locale {snapshot.locale}` for a model "
            f"that does, or turn it off: `assay policy set --locale {snapshot.locale} --noise-share 0`"
        )
    return found


def unusable(session: Session, snapshot: Snapshot, policy: Policy, missing: int, name: str) -> UnusableError:
    version = models.get(session, snapshot.version_id)
    assert version is not None
    off = f"set {TURNED_ON_BY[name]} and " if name in TURNED_ON_BY else ""
    return UnusableError(
        f"strategy {policy.strategy} looks at {name!r}, which model {version.name} does not give for {missing} "
        f"eligible utterances of {snapshot.locale}: {off}run `assay evaluation train --locale {snapshot.locale}` for a "
        f"model that does, or choose another strategy: `assay policy set --locale {snapshot.locale} --strategy entropy`"
    )


def widest_band(resolved: Iterable[Policy]) -> tuple[float, float]:
    bands = [policy.nlu_band for policy in resolved]
    return min(low for low, _ in bands), max(high for _, high in bands)


def is_eligible(row: Candidate, policy: Policy) -> bool:
    low, high = policy.nlu_band
    if policy.exclude_defects and row.defect:
        return False
    return row.nlu_score is not None and low <= row.nlu_score <= high


def choose(snapshot: Snapshot) -> list[SelectedItem]:
    """The items of every round of the snapshot; pure."""
    items: list[SelectedItem] = []
    for domain, policy in sorted(snapshot.rounds.items()):
        items.extend(select(to_frame(snapshot, rows_of(snapshot, domain), needs(policy.strategy).features), policy))
    return sorted(items, key=lambda item: (item.domain, item.rank))


def rows_of(snapshot: Snapshot, domain: str) -> list[int]:
    """Where the rows of a round are."""
    return [at for at, row in enumerate(snapshot.rows) if round_of(row, snapshot.rounds) == domain]


def round_of(row: Candidate, rounds: Mapping[str, Policy]) -> str:
    return row.domain if row.domain in rounds else ANY


def to_frame(snapshot: Snapshot, places: Sequence[int], features: Iterable[str]) -> Frame:
    """Of the rows at some places."""
    rows = [snapshot.rows[at] for at in places]
    values = np.array([row.scores for row in rows], dtype=np.float64).reshape(len(rows), len(snapshot.columns))
    columns = dict(zip(snapshot.columns, values.T, strict=True))
    if snapshot.label_error is not None:
        columns[LABEL_ERROR] = snapshot.label_error[places]
    return Frame(
        ids=np.array([row.id for row in rows], dtype=np.int64),
        domains=np.array([row.domain for row in rows], dtype=np.str_),
        scores=columns,
        features={name: snapshot.features[name][places] for name in features},
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
            policy={domain: stored_policy(snapshot, domain) for domain in snapshot.rounds},
            frame_watermark=snapshot.watermark,
            frame_hash=frame_hash(to_frame(snapshot, range(len(snapshot.rows)), snapshot.features)),
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


def stored_policy(snapshot: Snapshot, domain: str) -> dict[str, Any]:
    play = snapshot.plays.get(domain)
    return policies.to_json(snapshot.rounds[domain]) | (bandits.describe(play) if play else {})


def replay(session: Session, selection_id: int) -> tuple[SelectionRow, Snapshot]:
    """A stored round's snapshot, to choose from again. Raises LookupError when there is no such round."""
    row = selections.get(session, selection_id)
    if row is None:
        raise LookupError(f"no selection has id {selection_id}")
    rounds = {domain: policies.from_json(values) for domain, values in row.policy.items()}
    columns = score_columns(rounds)
    rows = stored_rows(session, row, columns)
    snapshot = Snapshot(row.locale, row.model_version_id, row.frame_watermark, rounds, rows, columns)
    return row, with_features(session, snapshot)


def stored_rows(session: Session, row: SelectionRow, columns: Sequence[str]) -> list[Candidate]:
    """The frame of a stored round, as it was."""
    frame = selections.frame(session, row.id)
    ids, revisions = unpack_ids(frame.ids), np.frombuffer(zlib.decompress(frame.revisions), dtype="<i4")
    return selections.candidates_as_they_were(session, row.model_version_id, ids.tolist(), revisions.tolist(), columns)


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

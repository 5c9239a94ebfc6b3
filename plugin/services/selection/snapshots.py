"""What a round depends on, whole: policies, rows, scores and features, as read or as stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.repositories import models, selections
from db.repositories.selections import Candidate
from plugin.quality.selection import LABEL_ERROR, Frame, needs
from plugin.records import Policy
from plugin.services import bandits, noise
from plugin.services.auto import Part
from plugin.services.policies import ANY

# Scores that cost something: models give them only when they were trained with these settings.
TURNED_ON_BY = {
    "variability": "ASSAY_SNAPSHOTS",
    "forgetting": "ASSAY_SNAPSHOTS",
    "dropout_mutual_information": "ASSAY_DROPOUT_PASSES",
}


class UnscoredError(LookupError):
    """Of a partly scored pool, the control arm would be no uniform sample and the inclusion probabilities wrong."""


class UnusableError(LookupError):
    """The model's scores lack what the policy's strategy looks at."""


@dataclass(frozen=True)
class Snapshot:
    """All that a round depends on. `rounds` maps `*`, and each domain with a budget of its own, to its policy.

    `plays` says of the parts that `auto` or a bandit chose for why their policies have the strategy that they have.
    `columns` names the scores of each row. `features` has a matrix (N, F) for each that some round compares by; the
    rows of the other rounds are NaN. `label_error` (N,) is there where some round has a noise share. `replays` is the
    stored round that this is the snapshot of, if it is of one.
    """

    locale: str
    version_id: int
    watermark: datetime
    rounds: Mapping[str, Policy]
    rows: Sequence[Candidate]
    columns: tuple[str, ...]
    features: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    plays: Mapping[str, Part] = field(default_factory=dict)
    label_error: NDArray[np.float64] | None = None
    replays: int | None = None

    @cached_property
    def places(self) -> Mapping[str, list[int]]:
        """Where the rows of each round are, ascending."""
        places: dict[str, list[int]] = {domain: [] for domain in self.rounds}
        for at, row in enumerate(self.rows):
            places[round_of(row, self.rounds)].append(at)
        return places


def score_columns(rounds: Mapping[str, Policy]) -> tuple[str, ...]:
    strategies = {strategy for policy in rounds.values() for strategy in bandits.possible(policy.strategy)}
    return tuple(sorted({score for strategy in strategies if (score := needs(strategy).score)}))


def with_plays(session: Session, snapshot: Snapshot) -> Snapshot:
    """Each round of `auto` or a bandit under the strategy that it plays, and no scores but those that are looked at.

    `auto` may make parts of their own of domains that share a round.
    """
    of_part = {part: [snapshot.rows[at] for at in places] for part, places in snapshot.places.items()}
    plays = bandits.settle(session, snapshot.locale, snapshot.version_id, snapshot.rounds, of_part, snapshot.columns)
    if not plays:
        return snapshot
    rounds = {**snapshot.rounds, **{domain: part.policy for domain, part in plays.items()}}
    columns = score_columns(rounds)
    places = [snapshot.columns.index(name) for name in columns]
    rows = [row._replace(scores=tuple(row.scores[at] for at in places)) for row in snapshot.rows]
    return replace(snapshot, rounds=rounds, rows=rows, columns=columns, plays=plays)


def with_features(session: Session, snapshot: Snapshot) -> Snapshot:
    """The features that its rounds compare by; all its rows have what their strategy looks at, or UnusableError."""
    for domain in snapshot.rounds:
        check_scores(session, snapshot, domain)
    wanted = {name for policy in snapshot.rounds.values() for name in needs(policy.strategy).features}
    features = {name: read_feature(session, snapshot, name) for name in sorted(wanted)}
    return replace(snapshot, features=features, label_error=read_label_error(session, snapshot))


def check_scores(session: Session, snapshot: Snapshot, domain: str) -> None:
    column = needs(snapshot.rounds[domain].strategy).score
    if column is None:
        return
    at = snapshot.columns.index(column)
    missing = sum(snapshot.rows[row].scores[at] is None for row in snapshot.places[domain])
    if missing:
        raise unusable(session, snapshot, domain, missing, column)


def read_feature(session: Session, snapshot: Snapshot, name: str) -> NDArray[np.float16]:
    """(N, F); one feature at a time, so that memory holds each once."""
    domains = [domain for domain, policy in snapshot.rounds.items() if name in needs(policy.strategy).features]
    wanted = [row for domain in domains for row in snapshot.places[domain]]
    place = {snapshot.rows[row].id: row for row in wanted}
    found = selections.features(
        session, snapshot.version_id, list(place), [snapshot.rows[row].revision for row in wanted], [name]
    )
    matrix = np.full((len(snapshot.rows), 0), np.nan, dtype=np.float16)
    for count, (id_, vector) in enumerate(found, start=1):
        if count == 1:
            matrix = np.full((len(snapshot.rows), len(vector) // 2), np.nan, dtype=np.float16)
        matrix[place.pop(id_)] = np.frombuffer(vector, dtype="<f2")
    lacking = Counter(round_of(snapshot.rows[row], snapshot.rounds) for row in place.values())
    for domain, missing in lacking.items():
        raise unusable(session, snapshot, domain, missing, name)
    return matrix


def read_label_error(session: Session, snapshot: Snapshot) -> NDArray[np.float64] | None:
    """(N,) over the whole frame, whichever rounds have a noise share; None where none has."""
    guarded = [domain for domain, policy in snapshot.rounds.items() if policy.noise_share]
    if not guarded:
        return None
    found = noise.label_errors(session, snapshot.version_id, snapshot.rows)
    for domain in guarded:
        missing = int(np.isnan(found[snapshot.places[domain]]).sum())
        if missing:
            instead = "turn it off", "--noise-share 0"
            raise lacks(session, snapshot, domain, missing, noise.DOMAIN_PROBS, "the noise share", instead)
    return found


def unusable(session: Session, snapshot: Snapshot, domain: str, missing: int, name: str) -> UnusableError:
    instead = "choose another strategy", "--strategy entropy"
    return lacks(session, snapshot, domain, missing, name, f"strategy {snapshot.rounds[domain].strategy}", instead)


def lacks(
    session: Session, snapshot: Snapshot, domain: str, missing: int, name: str, who: str, instead: tuple[str, str]
) -> UnusableError:
    """What to do where a new round is refused. A stored one is as it is: no other model or policy replays it."""
    version = models.get(session, snapshot.version_id)
    assert version is not None
    what = f"{who} looks at {name!r}, which model {version.name} "
    if snapshot.replays is not None:
        return UnusableError(
            f"{what}no longer gives for {missing} utterances of {snapshot.locale}: round {snapshot.replays} cannot be "
            f"replayed unless they come back from a backup; a model trained now gives others"
        )
    off = f"set {TURNED_ON_BY[name]} and " if name in TURNED_ON_BY else ""
    whose = f"--locale {snapshot.locale}" + ("" if domain == ANY else f" --domain {domain}")
    other, options = instead
    return UnusableError(
        f"{what}does not give for {missing} eligible utterances of {snapshot.locale}: {off}run `assay evaluation train "
        f"--locale {snapshot.locale}` for a model that does, or {other}: `assay policy set {whose} {options}`"
    )


def round_of(row: Candidate, rounds: Mapping[str, Policy]) -> str:
    return row.domain if row.domain in rounds else ANY


def to_frame(snapshot: Snapshot, places: Sequence[int], features: Iterable[str]) -> Frame:
    """Of the rows at some places, distinct and ascending; of all of them without a second copy of the features."""
    every = len(places) == len(snapshot.rows)
    rows = [snapshot.rows[at] for at in places]
    values = np.array([row.scores for row in rows], dtype=np.float64).reshape(len(rows), len(snapshot.columns))
    columns = dict(zip(snapshot.columns, values.T, strict=True))
    if snapshot.label_error is not None:
        columns[LABEL_ERROR] = snapshot.label_error[places]
    return Frame(
        ids=np.array([row.id for row in rows], dtype=np.int64),
        domains=np.array([row.domain for row in rows], dtype=np.str_),
        scores=columns,
        features={name: snapshot.features[name] if every else snapshot.features[name][places] for name in features},
    )

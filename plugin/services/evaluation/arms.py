"""The arms of a run: what is added to the gold data in each, at equal size, seed by seed.

`baseline` adds nothing, `candidate` all there is. `random` adds reviews of control items, and the arm of a strategy the
same number of reviews of items that the strategy chose. Rounds are compared with themselves: in each *part* of rounds
(a domain that had its own, or `*` for the others) the arms hold equally many labels.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from db.repositories.examples import Labelled
from plugin.services.evaluation.frozen import Frame

BASELINE, RANDOM, CANDIDATE = "baseline", "random", "candidate"
# Fewer labels change next to nothing, and a training each, with every seed, is a high price for that.
FEWEST_LABELS = 10


@dataclass(frozen=True)
class Plan:
    """Which arms a run trains, in order, and why others fall away; `places`: part -> labels of each compared arm."""

    arms: tuple[str, ...]
    left_out: Mapping[str, str]
    places: Mapping[str, int]

    @property
    def strategies(self) -> tuple[str, ...]:
        return tuple(arm for arm in self.arms if arm not in (BASELINE, RANDOM, CANDIDATE))


def plan(frame: Frame, in_use: Collection[str]) -> Plan:
    """`in_use`: the strategies of the locale's policy, which are told of even before a label of theirs has come."""
    compared: list[str] = []
    left_out: dict[str, str] = {}
    for name in sorted({*frame.strategies, *in_use} - {RANDOM}):
        reason = why_not(frame, name)
        if reason is None:
            compared.append(name)
        else:
            left_out[name] = reason
    places = {
        part: size
        for part, rows in sorted(frame.control.items())
        if (size := min(len(rows), max((len(labels_of(frame, name, part)) for name in compared), default=0)))
    }
    if not compared:
        controls = sum(map(len, frame.control.values()))
        left_out[RANDOM] = "no strategy has labels to compare it with" if controls else "no control label has come back"
    elif sum(places.values()) < FEWEST_LABELS:
        reason = f"{sum(places.values())} control labels can train, and at least {FEWEST_LABELS} are needed"
        left_out.update(dict.fromkeys([RANDOM, *compared], reason))
        compared, places = [], {}
    arms = (CANDIDATE, BASELINE, *((RANDOM, *compared) if compared else ()))
    return Plan(arms, left_out, places)


def why_not(frame: Frame, strategy: str) -> str | None:
    """Why a strategy cannot be compared with random choice."""
    parts = frame.strategies.get(strategy, {})
    own = sum(map(len, parts.values()))
    beside = sum(len(rows) for part, rows in parts.items() if frame.control.get(part))
    if not own:
        return "no label of what it chose has come back"
    if not any(frame.control.values()):
        return "no control label has come back to compare it with"
    if beside < FEWEST_LABELS:
        return f"{beside} of its labels are of rounds that have control labels, and at least {FEWEST_LABELS} are needed"
    return None


def rows_of(frame: Frame, plan: Plan, arm: str, seed: int) -> list[Labelled]:
    """What an arm adds to the gold data with one seed, in the order of the utterances."""
    if arm == BASELINE:
        return []
    if arm == CANDIDATE:
        return list(frame.everything)
    chosen: list[Labelled] = []
    for part, places in plan.places.items():
        control = drawn(frame.control[part], seed)[:places]
        own = control if arm == RANDOM else drawn(labels_of(frame, arm, part), seed)[:places]
        # Where a strategy has too few labels, or was not played, control labels make up its number.
        mine = {row.utterance_id for row in own}
        spare = [row for row in control if row.utterance_id not in mine]
        chosen += [*own, *spare[: places - len(own)]]
    return sorted(chosen, key=lambda row: row.utterance_id)


def own_labels(frame: Frame, plan: Plan, arm: str) -> int:
    """How many labels of a compared arm are of its own choosing."""
    if arm == RANDOM:
        return sum(plan.places.values())
    return sum(min(places, len(labels_of(frame, arm, part))) for part, places in plan.places.items())


def own_shares(frame: Frame, plan: Plan, arm: str) -> dict[str, float]:
    """Domain -> which part of the labels that the arm adds there is of its own choosing, on average over seeds.

    The others are the control's, which make up its number: of them the arm's change shows nothing.
    """
    own: dict[str, float] = defaultdict(float)
    filled: dict[str, float] = defaultdict(float)
    for part, places in plan.places.items():
        mine, control = labels_of(frame, arm, part), frame.control[part]
        taken = min(places, len(mine))
        for row in mine:
            own[row.domain] += taken / len(mine)
        if taken < places:
            for row in control:
                filled[row.domain] += (places - taken) / len(control)
    return {domain: round(own[domain] / (own[domain] + filled[domain]), 4) for domain in sorted({*own, *filled})}


def labels_of(frame: Frame, strategy: str, part: str) -> Sequence[Labelled]:
    return frame.strategies.get(strategy, {}).get(part, ())


def drawn(rows: Sequence[Labelled], seed: int) -> list[Labelled]:
    """In random order, the same everywhere; an utterance of two arms has one lot, so that they share it or miss it."""

    def lot(row: Labelled) -> bytes:
        return hashlib.sha256(f"assay-arm-1\0{seed}\0{row.utterance_id}".encode()).digest()

    return sorted(rows, key=lot)

"""Rounds under the strategy `bandit`: which strategy each plays, from what people said of the rounds before it.

It is settled before the round is chosen, and the round stores what was played: its replay asks for no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.models import SelectionRow
from db.repositories import selections
from db.repositories.selections import Candidate
from plugin.quality.bandit import CANDIDATES, Outcome, Play, play
from plugin.quality.selection import needs
from plugin.quality.selection.sampling import Lots
from plugin.records import Policy, Strategy
from plugin.services.policies import ANY

CHOSEN_BY, EVIDENCE = "chosen_by", "evidence"  # in the policy that a round stores


def possible(strategy: Strategy) -> tuple[Strategy, ...]:
    """What a policy's strategy may come down to."""
    return CANDIDATES if strategy is Strategy.BANDIT else (strategy,)


def settle(
    session: Session,
    locale: str,
    version_id: int,
    domain: str,
    policy: Policy,
    rows: Sequence[Candidate],
    columns: Sequence[str],
) -> Play:
    """What the round of a domain, or of `*`, plays: one of those whose scores and features its rows all have."""
    past = [Outcome(Strategy(name), *counts) for name, *counts in selections.outcomes(session, locale, domain, ANY)]
    lots = Lots(np.array([row.id for row in rows], dtype=np.int64), policy.seed)
    return play(past, usable(session, version_id, rows, columns), lots)


def usable(
    session: Session, version_id: int, rows: Sequence[Candidate], columns: Sequence[str]
) -> tuple[Strategy, ...]:
    """`random` at least, which looks at nothing."""
    complete = {name for at, name in enumerate(columns) if all(row.scores[at] is not None for row in rows)}
    ids, revisions = [row.id for row in rows], [row.revision for row in rows]
    featured = selections.count_featured(session, version_id, ids, revisions) == len(rows)
    return tuple(
        strategy
        for strategy in CANDIDATES
        if needs(strategy).score in {None, *complete} and (featured or not needs(strategy).features)
    )


def describe(play: Play) -> dict[str, Any]:
    """Beside the settings in the policy that a round stores, where `strategy` is the one that was played."""
    evidence = {
        strategy.value: {"reviewed": known.reviewed, "fixed": known.fixed, "drawn": known.drawn}
        for strategy, known in play.evidence.items()
    }
    return {CHOSEN_BY: Strategy.BANDIT.value, EVIDENCE: evidence}


def strategy_said(row: SelectionRow, domain: str) -> str:
    """`entropy`, or `bandit played entropy`."""
    policy = row.policy.get(domain) or row.policy[ANY]  # an extension may have that of one domain alone
    return f"{policy[CHOSEN_BY]} played {policy['strategy']}" if CHOSEN_BY in policy else str(policy["strategy"])

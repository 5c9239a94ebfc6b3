"""Rounds under the strategies that play others: which each plays, and why.

`bandit` goes by what people said of the rounds before, `auto` by what evaluations said of the models. Either is settled
before the round is chosen, and the round stores what was played: its replay asks for no evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.models import SelectionRow
from db.repositories import selections
from db.repositories.selections import Candidate
from plugin.quality import auto as auto_strategy
from plugin.quality import bandit
from plugin.quality.bandit import Outcome, Play
from plugin.quality.selection import needs
from plugin.quality.selection.sampling import Lots
from plugin.records import CONCRETE, Policy, Strategy
from plugin.services import auto
from plugin.services.auto import Part
from plugin.services.policies import ANY

CHOSEN_BY, EVIDENCE = "chosen_by", "evidence"  # in the policy that a round stores


CANDIDATES: Mapping[Strategy, tuple[Strategy, ...]] = {
    Strategy.BANDIT: bandit.CANDIDATES,
    Strategy.AUTO: auto_strategy.CANDIDATES,
}


def possible(strategy: Strategy) -> tuple[Strategy, ...]:
    """What a policy's strategy may come down to."""
    return CANDIDATES.get(strategy, (strategy,))


def settle(
    session: Session,
    locale: str,
    version_id: int,
    rounds: Mapping[str, Policy],
    rows: Mapping[str, Sequence[Candidate]],
    columns: Sequence[str],
) -> dict[str, Part]:
    """What is played by those parts of a round whose strategy plays others: their policies under that, and why.

    Of the candidates whose scores and features their rows all have. The part that domains share may come down to
    several.
    """
    parts: dict[str, Part] = {}
    for domain, policy in rounds.items():
        if policy.strategy in CONCRETE:
            continue
        at_hand = usable(session, version_id, CANDIDATES[policy.strategy], rows[domain], columns)
        lots = Lots(np.array([row.id for row in rows[domain]], dtype=np.int64), policy.seed)
        if policy.strategy is Strategy.BANDIT:
            past = selections.outcomes(session, locale, domain, ANY)
            play = bandit.play([Outcome(Strategy(name), *counts) for name, *counts in past], at_hand, lots)
            found = {domain: Part(replace(policy, strategy=play.strategy), describe(play))}
        else:
            sizes = Counter(row.domain for row in rows[domain])
            found = auto.settle(auto.measured(session, locale), locale, domain, policy, sizes, at_hand, lots)
        parts |= {
            name: Part(part.policy, {CHOSEN_BY: policy.strategy.value, **part.described})
            for name, part in found.items()
        }
    return parts


def usable(
    session: Session,
    version_id: int,
    candidates: Sequence[Strategy],
    rows: Sequence[Candidate],
    columns: Sequence[str],
) -> tuple[Strategy, ...]:
    """`random` at least, which looks at nothing."""
    complete = {name for at, name in enumerate(columns) if all(row.scores[at] is not None for row in rows)}
    ids, revisions = [row.id for row in rows], [row.revision for row in rows]
    featured = selections.count_featured(session, version_id, ids, revisions) == len(rows)
    return tuple(
        strategy
        for strategy in candidates
        if needs(strategy).score in {None, *complete} and (featured or not needs(strategy).features)
    )


def describe(play: Play) -> dict[str, Any]:
    """Beside the settings in the policy that a round stores, where `strategy` is the one that was played."""
    evidence = {
        strategy.value: {"reviewed": known.reviewed, "fixed": known.fixed, "drawn": known.drawn}
        for strategy, known in play.evidence.items()
    }
    return {EVIDENCE: evidence}


def strategy_said(row: SelectionRow, domain: str) -> str:
    """`entropy`, or `auto played entropy`."""
    policy = row.policy.get(domain) or row.policy[ANY]  # an extension may have that of one domain alone
    return f"{policy[CHOSEN_BY]} played {policy['strategy']}" if CHOSEN_BY in policy else str(policy["strategy"])


def played(row: SelectionRow) -> dict[str, dict[str, str]]:
    """Of each part of a round whose strategy was chosen for it, and of each domain of it that was measured: what it
    plays, and why.
    """
    found = {}
    for part, policy in row.policy.items():
        if "why" in policy:
            found[part] = {"strategy": str(policy["strategy"]), "why": str(policy["why"])}
            found |= {
                domain: {"strategy": str(told["strategy"]), "why": str(told["why"])}
                for domain, told in policy.get("domains", {}).items()
            }
    return found

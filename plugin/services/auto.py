"""Rounds under the strategy `auto`: which strategy each domain plays, from what evaluations have said of them.

Evidence are the verdicts of finished runs by the primary metric: relative changes against the random control. A round
that the domains of a locale share is split where they play different strategies, its budget in proportion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from db.repositories import measured_effects
from db.repositories.measured_effects import MeasuredEffect
from plugin.quality.auto import Choice, Known, Measured, choose
from plugin.quality.metrics import PRIMARY
from plugin.quality.selection import least_places
from plugin.quality.selection.sampling import Lots, apportion
from plugin.records import Policy, Strategy
from plugin.services.policies import ANY

# Half of a 95 % interval in standard errors.
REACH = 1.959963984540054
# No verdict is surer than this: identical predictions of few utterances leave an interval of no width.
LEAST_ERROR = 0.005
# What a run tells of its arms: strategy -> domain -> which part of the labels that it added there was of its choosing.
FREEZE, OWN_SHARES = "freeze", "own_shares"
# Of less than this, what an arm shows is too faint to be told from noise by dividing.
LEAST_SHARE = 0.25
# What is played before there is evidence: the default, or what asks for less where the champion does not give it.
FALLBACKS = (Policy().strategy, Strategy.JOINT, Strategy.ENTROPY, Strategy.RANDOM)


@dataclass(frozen=True)
class Part:
    """A part of a round: the policy that it plays, and what is stored beside it of why."""

    policy: Policy
    described: Mapping[str, Any]


def measured(session: Session, locale: str) -> list[Measured]:
    """What is known of strategies in a locale.

    Runs between two rounds saw the same labels, so the newest of them speaks for all, on the test set that has most
    utterances of the domain. Where an arm has no verdict on any domain, that on all of them is taken. An arm that was
    filled up with control labels shows only a part of what its strategy does, and that part is scaled up.
    """
    rows = measured_effects.of_locale(session, locale, PRIMARY)
    newest = {(row.after, row.domain, row.arm): row.run_id for row in rows}
    best: dict[tuple[int, str, str], MeasuredEffect] = {}
    for row in rows:
        key = (row.after, row.domain, row.arm)
        if row.run_id == newest[key] and (key not in best or row.n > best[key].n):
            best[key] = row
    by_domain = {(row.after, row.arm) for row in best.values() if row.domain != ANY}
    ages = {after: age for age, after in enumerate(sorted({row.after for row in best.values()}, reverse=True))}
    shares = measured_effects.details(session, {row.run_id for row in best.values()}, FREEZE, OWN_SHARES)
    known = {strategy.value for strategy in Strategy}
    found = []
    for row in best.values():
        share = shares.get(row.run_id, {}).get(row.arm, {}).get(row.domain, 1.0)
        of_domain = row.domain != ANY or (row.after, row.arm) not in by_domain
        if row.arm in known and of_domain and share >= LEAST_SHARE:
            strategy = Strategy(row.arm)
            found.append(Measured(row.domain, strategy, ages[row.after], row.relative / share, error_of(row) / share))
    return found


def error_of(row: MeasuredEffect) -> float:
    return max((row.relative_high - row.relative_low) / (2.0 * REACH), LEAST_ERROR)


def settle(
    past: Sequence[Measured], locale: str, part: str, policy: Policy, sizes: Mapping[str, int],
    usable: Sequence[Strategy], lots: Lots,
) -> dict[str, Part]:  # fmt: skip
    """What a part of a round plays: a domain with a budget of its own one strategy, `*` perhaps several.

    Args:
        past: see `measured`.
        sizes: eligible utterances of each domain of the part.
        usable: candidates whose scores and features the part's utterances all have.
    """
    if not past:
        strategy = next(one for one in FALLBACKS if one in usable)
        why = f"no run has compared strategies in {locale} yet: {fallback_said(strategy)} until one has"
        return {part: Part(replace(policy, strategy=strategy), {"why": why, "evidence": {}})}
    if part != ANY:
        choice = choose(past, [part], usable, lots)[part]
        return {part: Part(replace(policy, strategy=choice.strategy), described(choice, part))}
    return split(policy, sizes, choose(past, [*sizes, ANY], usable, lots), {one.domain for one in past})


def fallback_said(strategy: Strategy) -> str:
    return (
        "the default"
        if strategy is Policy().strategy
        else f"{strategy}, as the model gives less than the default needs,"
    )


def split(
    policy: Policy, sizes: Mapping[str, int], choices: Mapping[str, Choice], evaluated: set[str]
) -> dict[str, Part]:
    """Domains that play something else than most are parts of their own, unless too small for a control of their own.

    Domains that nothing was measured in stay together and play what serves elsewhere.
    """
    own = {domain: choices[domain] for domain in sorted(sizes) if domain in evaluated}
    strategy, because = choices[ANY].strategy, why(choices[ANY], ANY)
    if own and len(own) == len(sizes):
        strategy = most_played(own, sizes)
        because = f"most utterances are of domains that play {strategy}"
    apart = [domain for domain, choice in own.items() if choice.strategy is not strategy]
    budgets = divided(policy, sizes, apart)
    parts = {
        domain: Part(replace(policy, strategy=own[domain].strategy, budget=budget), described(own[domain], domain))
        for domain, budget in budgets.items()
    }
    told = {
        domain: {"strategy": strategy.value, **described(choice, domain)}
        for domain, choice in own.items()
        if domain not in parts
    }
    for domain in set(apart) - set(parts):
        told[domain]["why"] = f"too small for a part of its own, which would play {own[domain].strategy}"
    rest = replace(policy, strategy=strategy, budget=policy.budget - sum(budgets.values()))
    return {ANY: Part(rest, {**described(choices[ANY], ANY), "why": because, "domains": told}), **parts}


def most_played(own: Mapping[str, Choice], sizes: Mapping[str, int]) -> Strategy:
    """By utterances."""
    rows: Counter[Strategy] = Counter()
    for domain, choice in own.items():
        rows[choice.strategy] += sizes[domain]
    return min(rows, key=lambda strategy: (-rows[strategy], strategy))


def divided(policy: Policy, sizes: Mapping[str, int], apart: Sequence[str]) -> dict[str, int]:
    """The budget of each domain that is a part of its own: in proportion to what is eligible."""
    wanted = list(apart)
    places = min(policy.budget, sum(sizes.values()))
    while wanted:
        rest = sum(sizes.values()) - sum(sizes[domain] for domain in wanted)
        caps = [*(sizes[domain] for domain in wanted), rest]
        given = dict(zip(wanted, apportion(places, caps, caps), strict=False))
        small = [domain for domain, budget in given.items() if budget < least_places(policy)]
        if not small and sum(given.values()) < policy.budget:
            return given
        wanted.remove(min(small or wanted, key=lambda domain: (sizes[domain], domain)))
    return {}


def described(choice: Choice, domain: str) -> dict[str, Any]:
    """JSON: why, and what is known of every candidate; effects are shares, negative is better."""
    return {
        "why": why(choice, domain),
        "spread": choice.spread,
        "evidence": {
            strategy.value: {
                "verdicts": one.measured,
                "effect": round(one.effect, 6),
                "error": round(one.error, 6),
                "drawn": None if one.drawn is None else round(one.drawn, 6),
            }
            for strategy, one in choice.known.items()
        },
    }


def why(choice: Choice, domain: str) -> str:
    """One line: the strategy's effect, and the best of the others."""
    played = choice.known[choice.strategy]
    others = {strategy: one for strategy, one in choice.known.items() if strategy is not choice.strategy}
    where = "over all domains" if domain == ANY else f"in {domain}"
    if not others:
        return f"nothing else can be played {where}"
    next_, known = min(others.items(), key=lambda other: other[1].effect)
    if choice.strategy is Strategy.RANDOM and not choice.is_trial:
        return f"no strategy promises to be better than random choice {where}; the least bad: {said(next_, known)}"
    if played.drawn is None:
        return f"all are thought worse than random choice {where}, this one the least: {said(choice.strategy, played)}"
    if choice.is_trial:
        return f"a trial {where}, {said(choice.strategy, played)}; thought best: {said(next_, known)}"
    return f"thought best {where}, {said(choice.strategy, played)}; next: {said(next_, known)}"


def said(strategy: Strategy, known: Known) -> str:
    """`entropy -5.8 % [-9.9, -1.7] SEMER by 7 verdicts`, against random choice."""
    if strategy is Strategy.RANDOM:
        return "random"
    low, high = (100.0 * (known.effect + side * REACH * known.error) for side in (-1.0, 1.0))
    count = "never tried" if not known.measured else f"{known.measured} verdict{'s' if known.measured > 1 else ''}"
    return f"{strategy} {100.0 * known.effect:+.1f} % [{low:+.1f}, {high:+.1f}] {PRIMARY.upper()}, {count}"

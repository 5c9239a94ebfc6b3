"""Policies: what an admin sets, and what follows from it for a domain.

A value that a (locale, domain) row leaves open comes from (locale, *), then (*, *), then the default of
`plugin.records.Policy`. A domain whose own row sets a budget is a round of its own; the others share the locale's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy.orm import Session

from db.repositories import models, policies, queues
from plugin.formats import checks
from plugin.records import PRESETS, Allocation, Policy, Strategy

ANY = "*"
PER_ROUND = frozenset(
    {
        *("strategy", "allocation", "control_share", "hard_share", "noise_share", "blind_share", "overlap_share"),
        *("train_on_weak", "seed"),
    }
)
MAX_BUDGET = 2**31 - 1
SEEDS = range(-(2**63), 2**63)  # what a bigint column holds


def resolve(session: Session, locale: str) -> dict[str, Policy]:
    """The policy of each domain that has a row of its own, and under `*` that of all the others."""
    rows = {(row.locale, row.domain): policies.values(row) for row in policies.for_locale(session, locale)}
    shared = {**rows.get((ANY, ANY), {}), **rows.get((locale, ANY), {})}
    domains = [domain for of_locale, domain in rows if of_locale == locale and domain != ANY]
    return {ANY: to_policy(shared)} | {
        domain: to_policy({**shared, **rows[locale, domain]}) for domain in sorted(domains)
    }


def own_rounds(session: Session, locale: str) -> set[str]:
    """Domains that spend a budget of their own."""
    return {
        row.domain
        for row in policies.for_locale(session, locale)
        if row.locale == locale and row.domain != ANY and row.budget is not None
    }


def change(
    session: Session,
    locale: str,
    domain: str,
    updates: Mapping[str, Any],
    *,
    preset: str | None = None,
    changed_by: str,
    comment: str,
) -> dict[str, Any]:
    """Set some values, None takes one back; what the row says then. Raises ValueError naming what cannot be."""
    if locale == ANY and domain != ANY:
        raise ValueError(f"a policy for domain {domain!r} needs a locale")
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"no preset is called {preset!r}; there is {', '.join(PRESETS)}")
    unknown = set(updates) - set(policies.SETTABLE)
    if unknown:
        raise ValueError(f"a policy has no {', '.join(sorted(unknown))}")
    row = policies.get(session, locale, domain, lock=True)
    if row is None or preset is not None or any(value is not None for value in updates.values()):
        check_scope(session, locale, domain)  # what is only taken back may have been stored for a misspelt one
    merged = {**(policies.values(row) if row else {}), **PRESETS.get(preset or "", {}), **updates}
    merged = {name: value for name, value in merged.items() if value is not None}
    if domain != ANY and "budget" not in merged and PER_ROUND & set(merged):
        named = ", ".join(sorted(PER_ROUND & set(merged)))
        raise ValueError(f"{named} for domain {domain!r} alone needs a budget of its own: set budget too")
    check_bounds(to_policy(merged))
    policies.put(session, locale, domain, merged, changed_by=changed_by, comment=comment)
    check_control(session)
    return merged


def check_control(session: Session) -> None:
    """Raises ValueError where `auto`, set here and the control there, would have nothing to learn from."""
    for locale in sorted({row.locale for row in policies.every(session)}):
        for domain, policy in resolve(session, locale).items():
            if policy.strategy is Strategy.AUTO and not policy.control_share:
                raise ValueError(
                    f"strategy auto learns from the control: of {locale} {domain} control_share must be above 0"
                )


def check_scope(session: Session, locale: str, domain: str) -> None:
    """Raises ValueError when no utterance can ever be of this locale and domain, as far as the locale's data tell."""
    if locale != ANY:
        checks.locale({"locale": locale})
    if domain != ANY:
        checks.label(domain, "domain")
        known = known_domains(session, locale)
        if known and domain not in known:
            raise ValueError(f"{locale} has no domain {domain!r}: there is {', '.join(sorted(known))}")


def known_domains(session: Session, locale: str) -> set[str]:
    """The domains of the locale's utterances, reviews and models; empty before there is any."""
    intents, _slots = queues.label_sets(session, locale)
    champion = models.champion(session, locale)
    return {domain for domain, _intent in intents} | set(champion.vocabulary.get("domains", []) if champion else [])


def check_bounds(policy: Policy) -> None:
    if policy.budget > MAX_BUDGET:
        raise ValueError(f"budget must be at most {MAX_BUDGET}, not {policy.budget}")
    if policy.seed not in SEEDS:
        raise ValueError(f"seed must lie in [{SEEDS.start}, {SEEDS.stop - 1}], not {policy.seed}")


def to_policy(values: Mapping[str, Any]) -> Policy:
    """Check and convert the values of a row; a half-given band takes its other end from the default."""
    default = Policy()
    known = {field.name for field in fields(Policy)}
    given = {name: value for name, value in values.items() if name in known}
    if "strategy" in given:
        given["strategy"] = one_of(Strategy, given["strategy"])
    if "allocation" in given:
        given["allocation"] = one_of(Allocation, given["allocation"])
    given["nlu_band"] = (
        values.get("nlu_low", default.nlu_band[0]),
        values.get("nlu_high", default.nlu_band[1]),
    )
    return Policy(**given)


def one_of(kind: type[Strategy] | type[Allocation], value: str) -> Strategy | Allocation:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(member.value for member in kind)
        raise ValueError(f"{kind.__name__.lower()} {value!r} is not one of {choices}") from None


def to_json(policy: Policy) -> dict[str, Any]:
    return {**asdict(policy), "nlu_band": list(policy.nlu_band)}


def from_json(values: Mapping[str, Any]) -> Policy:
    low, high = values["nlu_band"]
    return to_policy({**values, "nlu_low": low, "nlu_high": high})

"""Arms by name: what of the pool is added to the trusted data.

`entropy`, `el2n:0.2` (20 % hard), `k-means@proportional`: the strategies of production, as a policy has them.
`bandit` plays one of them in each round.
`random-2` is `random` under another seed. `nothing` and `everything` are the two ends, and no selection at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from plugin.quality.bandit import CANDIDATES
from plugin.records import Allocation, Policy, Strategy

NOTHING, EVERYTHING = "nothing", "everything"
BASELINES = (NOTHING, EVERYTHING)
RANDOM = "random"
DEFAULT = "default"
BANDIT = Strategy.BANDIT.value

ALIASES: Mapping[str, str] = {
    "el2n-10-90": "el2n:0.1",
    "el2n-20-80": "el2n:0.2",
    "el2n-50-50": "el2n:0.5",
    "el2n-0-100": "el2n:0",
    "el2n-hard": "el2n:1",
}
# The trial has these itself, or they are not of selecting.
_OF_THE_TRIAL = (
    "budget", "seed", "control_share", "noise_share", "blind_share", "overlap_share", "nlu_band", "exclude_defects",
    "train_on_weak",
)  # fmt: skip
# Far enough apart that no two worlds share a draw.
_SEED_STEP = 1_000_003


E = TypeVar("E", Strategy, Allocation)


class ArmError(ValueError):
    """A name is not that of an arm: which, and what there is."""


@dataclass(frozen=True, slots=True)
class Arm:
    """`policy` carries strategy, hard share and allocation; budget and seed come with the trial."""

    name: str
    policy: Policy
    seed_offset: int = 0

    def seed(self, world_seed: int) -> int:
        return world_seed + self.seed_offset


def parse(name: str) -> Arm:
    """The arm of that name.

    Raises:
        ArmError: an unknown strategy or allocation, `auto`, or a share outside [0, 1].

    >>> arm = parse("el2n-10-90@proportional")
    >>> arm.policy.strategy.value, arm.policy.hard_share, arm.policy.allocation.value
    ('el2n', 0.1, 'proportional')
    >>> parse("random-3").seed(7)
    2000013
    """
    strategy_part, _, allocation = name.partition("@")
    policy = _base(ALIASES.get(strategy_part, strategy_part), name)
    if allocation:
        policy = _changed(policy, name, allocation=_member(Allocation, allocation, name))
    return Arm(name, policy, _offset(strategy_part))


def strategies(name: str) -> tuple[Strategy, ...]:
    """What the arm may choose by: one strategy, but for `bandit`, which plays another one in each round.

    >>> strategies("el2n-10-90"), len(strategies("bandit"))
    ((<Strategy.EL2N: 'el2n'>,), 8)
    """
    return CANDIDATES if is_bandit(name) else (parse(name).policy.strategy,)


def is_bandit(name: str) -> bool:
    return parse(name).policy.strategy is Strategy.BANDIT


def describe(name: str) -> dict[str, object]:
    """What the arm's policy says of how to select; empty of a baseline."""
    if name in BASELINES:
        return {}
    values = asdict(parse(name).policy)
    return {field: value for field, value in values.items() if field not in _OF_THE_TRIAL}


def _base(part: str, name: str) -> Policy:
    if part == DEFAULT:
        return Policy(control_share=0.0)
    if _offset(part):
        part = RANDOM
    strategy, _, share = part.partition(":")
    policy = Policy(
        strategy=_member(Strategy, strategy, name), control_share=0.0, hard_share=1.0, allocation=Allocation.GLOBAL
    )
    if policy.strategy is Strategy.AUTO:
        raise ArmError(f"arm {name!r}: auto goes by evaluations, and a trial ends with its first: take `bandit`")
    return _changed(policy, name, hard_share=_share(share, name)) if share else policy


def _offset(part: str) -> int:
    """0 of `random`, steps further for `random-2` and so on; 0 of what is no random arm."""
    prefix, _, number = part.rpartition("-")
    return (int(number) - 1) * _SEED_STEP if prefix == RANDOM and number.isdecimal() and int(number) > 1 else 0


def _share(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArmError(f"arm {name!r}: {text!r} is no share; write it as in el2n:0.2") from None


def _changed(policy: Policy, name: str, **values: object) -> Policy:
    try:
        return replace(policy, **values)  # type: ignore[arg-type]
    except ValueError as error:
        raise ArmError(f"arm {name!r}: {error}") from None


def _member(kind: type[E], value: str, name: str) -> E:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(member.value for member in kind)
        raise ArmError(f"arm {name!r}: {kind.__name__.lower()} {value!r} is not one of {choices}") from None

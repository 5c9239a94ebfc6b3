"""The order of a queue: what is served stays where it is, and the items of each stratum are merged into it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from db.repositories.strata import StratumItem
from plugin.quality.selection import RANKED_BY, Standing, merge
from plugin.quality.selection.extending import CONTROL, HARD, NOISE, OTHER
from plugin.records import Arm, Strategy


def standings(items: Sequence[StratumItem], strategy: Strategy) -> dict[tuple[int, int], Standing]:
    """(selection, utterance) -> where an item stands; items of one domain, by stratum and rank."""
    parts = {(item.selection_id, item.utterance_id): part_of(item) for item in items}
    sizes = Counter((selection_id, part) for (selection_id, _), part in parts.items())
    seen: Counter[tuple[int, str]] = Counter()
    found = {}
    for item in items:
        key = (item.selection_id, item.utterance_id)
        stratum = (item.selection_id, parts[key])
        seen[stratum] += 1
        depth = seen[stratum] / (sizes[stratum] + 1)
        if parts[key] == HARD and strategy in RANKED_BY and item.score is not None:
            depth = -RANKED_BY[strategy][1] * item.score
        found[key] = Standing(parts[key], depth)
    return found


def part_of(item: StratumItem) -> str:
    """An item of several arms counts as control, then as noise."""
    if Arm.CONTROL in item.arms:
        return CONTROL
    if Arm.NOISE in item.arms:
        return NOISE
    return HARD if item.composition == "hard" else OTHER


def arrange(
    items: Sequence[StratumItem], strategy: Strategy, served: Sequence[int], done: Collection[int]
) -> list[StratumItem]:
    """The open items of a domain, first to last.

    Args:
        items: of one domain, by stratum and rank; dropped ones only tell how deep the others stand.
        strategy: which chose them.
        served: utterances in the order in which they are served now; they keep it.
        done: utterances that are not to be served any more.
    """
    standing = standings(items, strategy)
    kept = {item.utterance_id: item for item in items if not item.is_dropped}  # of two revisions the later
    where = {id_: standing[item.selection_id, id_] for id_, item in kept.items()}
    finished = Counter(where[id_].part for id_ in done if id_ in where)
    order = [id_ for id_ in served if id_ in kept and id_ not in done]
    strata: dict[int, list[int]] = defaultdict(list)
    there = {*order, *done}
    for id_, item in kept.items():
        if id_ not in there:
            strata[item.selection_id].append(id_)
    for _, coming in sorted(strata.items()):
        both = [*order, *coming]
        order = [both[at] for at in merge([where[id_] for id_ in order], [where[id_] for id_ in coming], finished)]
    return [kept[id_] for id_ in order]

"""A queue as it should be, planned from the locale's current round.

A queue that serves the round already goes on: what an extension brought *slips in* between what is served, and nothing
else is touched. Any other queue *flips*: everything gets a prediction under a new name, and then that name is served.
So does a queue whose last publishing was interrupted, unless the plan is the very same still: nothing that was sent by
then, nor what may come of it later, has a place in an order of another name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, SelectionRow
from db.repositories import queues as queue_rows
from db.repositories import selections
from db.repositories.strata import StratumItem
from plugin.label_studio.guide import Guide
from plugin.label_studio.queues import LabelSet, describe, rank_codes
from plugin.label_studio.queues import QueueTask as Shown
from plugin.services.evaluation.publishing import metric_lines
from plugin.services.guides import read_guide
from plugin.services.queues import codes
from plugin.services.queues.codes import START
from plugin.services.queues.reading import Reading, label_set, read, showable

# To move a task takes two requests of its own, as long as some forty tasks take in an import of all.
MOST_MOVES, MOST_MOVED = 20, 1 / 20


@dataclass(frozen=True)
class Plan:
    """A queue as it should be. Tasks and items are in serving order.

    shows_id   the newest stratum of the round, which the queue shows then
    order_id   the selection whose order it is, served then as `model_version`
    flips      everything is ordered anew, under that name; else only what is new is sent
    resumes    the same was begun, and interrupted
    bridges    codes of what is new under the names that may be served during the flip, after all that is there
    moves      what leaves and is not last already, with its code
    has_news   of labels: the screen is to be set up anew
    changes    of the queue until it was read
    strata     which stratum each utterance is of
    """

    queue: Queue
    selection: SelectionRow
    shows_id: int
    order_id: int
    model_version: str
    flips: bool
    labels: LabelSet
    new: Sequence[Shown]
    staying: Sequence[tuple[QueueTask, Shown]]
    leaving: Sequence[tuple[QueueTask, Shown]]
    strata: Mapping[int, int]
    revisions: Mapping[int, int]
    known: set[int | None]
    changes: int
    bridges: Sequence[float] = ()
    moves: Sequence[tuple[QueueTask, float]] = ()
    has_news: bool = True
    description: str = ""
    guide: Guide = field(default_factory=Guide)

    resumes: bool = False

    @property
    def bridged_versions(self) -> set[str]:
        """Whose order may be served until this plan is published: after a flip that was interrupted, either."""
        names = {self.queue.order_name, self.queue.begun_name}
        return {name for name in names if name is not None and name != self.model_version} if self.flips else set()

    @cached_property
    def digest(self) -> str:
        """What is sent, without the name under which it is."""
        shown = [[(item.utterance_id, item.rank_code) for item in self.new]]
        shown += [[(row.utterance_id, item.rank_code) for row, item in part] for part in (self.staying, self.leaving)]
        moved = [(row.utterance_id, code) for row, code in self.moves]
        revisions = sorted(self.revisions.items())
        facts = [self.flips, self.order_id, shown, moved, [*self.bridges], revisions]
        return hashlib.sha256(orjson.dumps(facts)).hexdigest()


def name_of_order(selection_id: int, attempt: int = 1) -> str:
    return f"assay-{selection_id}" if attempt == 1 else f"assay-{selection_id}.{attempt}"


def next_name(queue: Queue, selection_id: int) -> str:
    """One under which nothing was sent to the queue."""
    used = [0]
    for name in (queue.order_name, queue.begun_name):
        base, _, attempt = (name or "").partition(".")
        if base == name_of_order(selection_id):
            used.append(int(attempt or 1))
    return name_of_order(selection_id, max(used) + 1)


def read_plan(session: Session, queue_id: int) -> Plan | None:
    """None when there is nothing to publish."""
    queue = queue_rows.get(session, queue_id)
    selection = selections.current(session, queue.locale) if queue else None
    if queue is None or selection is None or queue.state != "active":
        return None
    reading = read(session, queue, selection)
    is_interrupted = queue.importing_since is not None and queue.begun_digest is not None
    plan = slip_in(session, reading)
    if plan is not None and (not is_interrupted or resumed(plan)):
        return plan
    plan = flip(session, reading)
    if is_interrupted and queue.begun_name and resumed(plan):
        return replace(plan, model_version=queue.begun_name, resumes=True)
    return plan


def resumed(plan: Plan) -> bool:
    return plan.digest == plan.queue.begun_digest


def slip_in(session: Session, reading: Reading) -> Plan | None:
    """What is new between what is served. None where that cannot be: then everything is ordered anew."""
    queue, open_tasks, planned = reading.queue, reading.open_tasks, reading.planned
    if not reading.goes_on:
        return None
    wanted = [id_ for id_ in planned if id_ not in reading.present]
    new = showable(session, reading, wanted)
    stays = {id_ for id_, task in open_tasks.items() if reading.stays(task)}
    order = [item.utterance_id for item in reading.arranged(stays | new.keys())]
    leaving = [task for id_, task in open_tasks.items() if id_ not in stays]
    last = max((open_tasks[id_].rank_code for id_ in stays.difference(reading.skipped)), default=0.0)
    in_the_way = [task for task in leaving if task.rank_code < last]
    if len(in_the_way) > max(MOST_MOVES, MOST_MOVED * len(open_tasks)):
        return None
    after = [task for task in leaving if task.rank_code > last]
    place = fitted(reading, order, stays, after)
    if place is None:
        return None
    tail = rank_codes(len(in_the_way), after=max(reading.end, *place.values()) if place else reading.end)
    labels, has_news = label_set(session, reading, new.values())
    assert queue.order_id is not None
    assert queue.order_name is not None
    return Plan(
        queue=queue,
        selection=reading.selection,
        shows_id=reading.shows_id,
        order_id=queue.order_id,
        model_version=queue.order_name,
        flips=False,
        labels=labels,
        new=[reading.show(new[id_], place[id_]) for id_ in order if id_ in new],
        staying=[],
        leaving=[],
        moves=[*zip(in_the_way, tail, strict=True), *((task, task.rank_code) for task in after)],
        has_news=has_news,
        **facts(session, reading, planned, has_news=has_news),
    )


def fitted(
    reading: Reading, order: Sequence[int], stays: set[int], after: Sequence[QueueTask]
) -> dict[int, float] | None:
    """The code of each utterance of an order of which most are served already; None where there is no room."""
    open_tasks = reading.open_tasks
    there = [open_tasks[id_].rank_code if id_ in stays else None for id_ in order]
    end = min((task.rank_code for task in after), default=None)
    try:
        return dict(zip(order, codes.fit(there, end), strict=True))
    except ValueError:
        return None


def flip(session: Session, reading: Reading) -> Plan:
    """Everything in a new order; what leaves comes last."""
    open_tasks, planned, version_id = reading.open_tasks, reading.planned, reading.selection.model_version_id
    found = showable(session, reading, planned)
    order = [item.utterance_id for item in reading.arranged({*found})]
    place = dict(zip(order, codes.fresh(len(order)), strict=True))
    end = max(place.values(), default=START)
    again = [id_ for id_ in reading.skipped if id_ in found and reading.stays(open_tasks[id_])]
    place |= {id_: open_tasks[id_].rank_code for id_ in again}
    stays = {id_ for id_, task in open_tasks.items() if id_ in place and reading.stays(task)}
    left = [task for id_, task in open_tasks.items() if id_ not in stays]
    last = rank_codes(len(left), after=end)
    open_items = queue_rows.open_items(session, reading.queue.id, version_id)
    labels, _ = label_set(session, reading, open_items.values())
    new = [reading.show(found[id_], place[id_]) for id_ in order if id_ not in reading.present]
    # A name that no task has cannot be served: where there is none, what comes next has a place in the order before.
    goes_on = not (new or stays or left) and reading.queue.order_id is not None
    order_id = reading.queue.order_id if goes_on and reading.queue.order_id else reading.shows_id
    return Plan(
        queue=reading.queue,
        selection=reading.selection,
        shows_id=reading.shows_id,
        order_id=order_id,
        model_version=(reading.queue.order_name if goes_on else None) or next_name(reading.queue, order_id),
        flips=True,
        labels=labels,
        new=new,
        bridges=rank_codes(len(new), after=reading.end),
        staying=[(open_tasks[id_], reading.show(found[id_], place[id_])) for id_ in [*order, *again] if id_ in stays],
        leaving=[
            (task, reading.show(open_items[task.utterance_id], code)) for task, code in zip(left, last, strict=True)
        ],
        **facts(session, reading, planned, has_news=True),
    )


def facts(session: Session, reading: Reading, planned: Mapping[int, StratumItem], *, has_news: bool) -> dict[str, Any]:
    """What every plan holds. What is said of the domain is read only for those who set up its screen."""
    queue = reading.queue
    found: dict[str, Any] = {
        "strata": {id_: item.selection_id for id_, item in planned.items()},
        "revisions": {id_: item.revision for id_, item in planned.items()},
        "known": {task.task_id for task in reading.present.values()},
        "changes": reading.changes,
    }
    if has_news:
        lines, evaluated = metric_lines(session, queue.locale, queue.domain)
        found["description"] = describe(queue.locale, queue.domain, lines, evaluated=evaluated)
        found["guide"] = read_guide(session, queue.locale, queue.domain, lines, evaluated)
    return found

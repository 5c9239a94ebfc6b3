"""A queue as it should be, read from the locale's current round; and the rows of what was published.

A queue that serves the round already goes on: what an extension brought *slips in* between what is served, and nothing
else is touched. Any other queue *flips*: everything gets a prediction under a new name, and then that name is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, SelectionRow
from db.repositories import queues as queue_rows
from db.repositories import selections, strata
from db.repositories.opinions import LAST_CODES
from db.repositories.queues import PlannedItem
from db.repositories.strata import StratumItem
from plugin.label_studio.guide import Guide
from plugin.label_studio.queues import LabelSet, describe, rank_codes
from plugin.label_studio.queues import QueueTask as Shown
from plugin.services import policies
from plugin.services.evaluation.publishing import metric_lines
from plugin.services.guides import read_guide
from plugin.services.labels import to_label_set
from plugin.services.policies import ANY
from plugin.services.queues import codes
from plugin.services.queues.codes import START
from plugin.services.queues.showing import blinds, reasons, to_shown, without_unshowable
from plugin.services.selection.ordering import arrange

OPEN = ("published", "leaving")
# Each is a request or two of its own; the others show what their record said before, until the next time.
MOST_MOVES = 20


@dataclass(frozen=True)
class Plan:
    """A queue as it should be. Tasks and items are in serving order.

    shows_id   the newest stratum of the round, which the queue shows then
    order_id   the selection under whose name the order is served then
    flips      everything is ordered anew, under that name; else only what is new is sent
    bridges    codes of what is new under the name that is served during the flip, after all that is there
    moves      what leaves and is not last already, with its code
    has_news   of labels: the screen is to be set up anew
    strata     which stratum each utterance is of
    """

    queue: Queue
    selection: SelectionRow
    shows_id: int
    order_id: int
    flips: bool
    labels: LabelSet
    new: Sequence[Shown]
    staying: Sequence[tuple[QueueTask, Shown]]
    leaving: Sequence[tuple[QueueTask, Shown]]
    strata: Mapping[int, int]
    revisions: Mapping[int, int]
    known: set[int | None]
    bridges: Sequence[float] = ()
    moves: Sequence[tuple[QueueTask, float]] = ()
    has_news: bool = True
    description: str = ""
    guide: Guide = field(default_factory=Guide)

    @property
    def model_version(self) -> str:
        return name_of_order(self.order_id)

    @property
    def served_version(self) -> str | None:
        """Whose order is served until this plan is published."""
        return None if self.queue.order_id is None else name_of_order(self.queue.order_id)


@dataclass(frozen=True)
class Reading:
    """What a plan is made of: the round's items of the domain, and the tasks of the queue by utterance."""

    queue: Queue
    selection: SelectionRow
    shows_id: int
    goes_on: bool
    items: Sequence[StratumItem]
    present: Mapping[int, QueueTask]
    elsewhere: set[int]
    show: Callable[[PlannedItem, float], Shown]

    @property
    def planned(self) -> dict[int, StratumItem]:
        kept = (item for item in self.items if not item.is_dropped)
        return {item.utterance_id: item for item in kept if item.utterance_id not in self.elsewhere}

    @property
    def open_tasks(self) -> dict[int, QueueTask]:
        """In the order of their codes."""
        return {id_: task for id_, task in self.present.items() if task.state in OPEN}

    @property
    def skipped(self) -> list[int]:
        """What people skipped, in the order of skipping: it has been served, and is served again behind the rest."""
        tasks = self.open_tasks.items()
        return [id_ for id_, task in tasks if task.state == "published" and task.rank_code >= LAST_CODES]

    @property
    def end(self) -> float:
        """The last code of what nobody has skipped."""
        codes = (task.rank_code for task in self.open_tasks.values() if task.rank_code < LAST_CODES)
        return max(codes, default=START)

    def stays(self, task: QueueTask) -> bool:
        item = self.planned.get(task.utterance_id)
        return item is not None and item.revision == task.revision

    def arranged(self, showable: set[int]) -> list[StratumItem]:
        """Those that can be shown, first to last, but what was skipped; what is served already stays where it is."""
        policy = policies.from_json(self.selection.policy.get(self.queue.domain, self.selection.policy[ANY]))
        items = [item for item in self.items if item.is_dropped or item.utterance_id in showable]
        served = list(self.open_tasks) if self.goes_on else []
        done = {id_ for id_, task in self.present.items() if task.state not in OPEN} | {*self.skipped}
        return arrange(items, policy.strategy, served, done)


def name_of_order(selection_id: int) -> str:
    return f"assay-{selection_id}"


def read_plan(session: Session, queue_id: int) -> Plan | None:
    """None when there is nothing to publish."""
    queue = queue_rows.get(session, queue_id)
    selection = selections.current(session, queue.locale) if queue else None
    if queue is None or selection is None or queue.state != "active":
        return None
    reading = read(session, queue, selection)
    return slip_in(session, reading) or flip(session, reading)


def read(session: Session, queue: Queue, selection: SelectionRow) -> Reading:
    tasks = queue_rows.tasks(session, queue.id)
    items = strata.items(session, selection.id, queue.domain)
    reason, blind = reasons(session, selection), blinds(selection, tasks)
    shown = None if queue.selection_id is None else strata.round_id(session, queue.selection_id)
    return Reading(
        queue=queue,
        selection=selection,
        shows_id=strata.of_round(session, selection.id)[-1].id,
        goes_on=queue.order_id is not None and shown == selection.id,
        items=items,
        present={task.utterance_id: task for task in tasks if task.state != "removed"},
        elsewhere=queue_rows.utterances_elsewhere(session, queue, [item.utterance_id for item in items]),
        show=lambda item, code: to_shown(item, code, reason(item), blind=blind(item)),
    )


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
    in_the_way = [task for task in leaving if task.rank_code < last][:MOST_MOVES]
    after = [task for task in leaving if task.rank_code > last]
    place = fitted(reading, order, stays, after)
    if place is None:
        return None
    tail = rank_codes(len(in_the_way), after=reading.end)
    labels, has_news = label_set(session, reading, new.values())
    assert queue.order_id is not None
    return Plan(
        queue=queue,
        selection=reading.selection,
        shows_id=reading.shows_id,
        order_id=queue.order_id,
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
    """The code of each utterance of an order of which most are served already. None: everything is to be ordered anew,
    under the name of a stratum that came since.
    """
    open_tasks = reading.open_tasks
    there = [open_tasks[id_].rank_code if id_ in stays else None for id_ in order]
    end = min((task.rank_code for task in after), default=None)
    try:
        return dict(zip(order, codes.fit(there, end), strict=True))
    except ValueError:
        if reading.shows_id != reading.queue.order_id:
            return None
    ends = rank_codes(there.count(None), after=reading.end)
    return {id_: ends.pop(0) if code is None else code for id_, code in zip(order, there, strict=True)}


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
    is_empty = not (new or stays or left)
    return Plan(
        queue=reading.queue,
        selection=reading.selection,
        shows_id=reading.shows_id,
        order_id=reading.queue.order_id or reading.shows_id if is_empty else reading.shows_id,
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


def showable(session: Session, reading: Reading, wanted: Iterable[int]) -> dict[int, PlannedItem]:
    found = queue_rows.planned_items(session, reading.selection, reading.queue.domain, list(wanted))
    items = without_unshowable(list(found.values()), reading.queue.locale)
    return {item.utterance_id: item for item in items}


def label_set(session: Session, reading: Reading, shown: Iterable[PlannedItem]) -> tuple[LabelSet, bool]:
    """What a person may choose, and whether it is more than before: a revised record may have been the last to know its
    label, and a new one may be the first.
    """
    pairs, slots = queue_rows.round_labels(session, reading.selection)
    before = len(pairs) + len(slots)
    for item in shown:
        pairs.add((item.domain, item.intent))
        slots.update(label for _, _, label in item.slots)
    has_news = len(pairs) + len(slots) > before
    if has_news:
        queue_rows.put_round_labels(reading.selection, pairs, slots)
    return to_label_set(pairs, slots), has_news


def facts(session: Session, reading: Reading, planned: Mapping[int, StratumItem], *, has_news: bool) -> dict[str, Any]:
    """What every plan holds. What is said of the domain is read only for those who set up its screen."""
    queue = reading.queue
    found: dict[str, Any] = {
        "strata": {id_: item.selection_id for id_, item in planned.items()},
        "revisions": {id_: item.revision for id_, item in planned.items()},
        "known": {task.task_id for task in reading.present.values()},
    }
    if has_news:
        lines, evaluated = metric_lines(session, queue.locale, queue.domain)
        found["description"] = describe(queue.locale, queue.domain, lines, evaluated=evaluated)
        found["guide"] = read_guide(session, queue.locale, queue.domain, lines, evaluated)
    return found


def write_plan(session: Session, plan: Plan, task_ids: Sequence[int], now: datetime, *, in_doubt: bool = False) -> None:
    """`in_doubt`: of what was sent, something may come a second time."""
    rows = [new_row(plan, item, task_id, now) for item, task_id in zip(plan.new, task_ids, strict=True)]
    rows += [
        {**new_row(plan, item, row.task_id, now), "state_since": row.state_since if row.state == "published" else now}
        for row, item in plan.staying
    ]
    rows += [leaving_row(row, item.rank_code, now) for row, item in plan.leaving]
    rows += [leaving_row(row, code, now) for row, code in plan.moves]
    queue_rows.put_tasks(session, plan.queue.id, rows)
    queue_rows.set_published(session, plan.queue.id, plan.shows_id, now)
    queue_rows.set_order(session, plan.queue.id, plan.order_id)
    if in_doubt:
        queue_rows.doubt_import(session, plan.queue.id, now)
    else:
        queue_rows.end_import(session, plan.queue.id)


def new_row(plan: Plan, item: Shown, task_id: int | None, now: datetime) -> dict[str, Any]:
    return {
        "utterance_id": item.utterance_id,
        "revision": plan.revisions[item.utterance_id],
        "selection_id": plan.strata[item.utterance_id],
        "task_id": task_id,
        "rank_code": item.rank_code,
        "blind": item.blind,
        "state": "published",
        "state_since": now,
    }


def leaving_row(row: QueueTask, code: float, now: datetime) -> dict[str, Any]:
    return {
        "utterance_id": row.utterance_id,
        "revision": row.revision,
        "selection_id": row.selection_id,
        "task_id": row.task_id,
        "rank_code": code,
        "state": "leaving",
        "state_since": row.state_since if row.state == "leaving" else now,
    }

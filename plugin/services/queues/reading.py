"""A queue as it is read before it is planned: the round's items of its domain, and the tasks that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, SelectionRow
from db.repositories import queues as queue_rows
from db.repositories import strata
from db.repositories.opinions import LAST_CODES
from db.repositories.queues import PlannedItem
from db.repositories.strata import StratumItem
from plugin.label_studio.queues import LabelSet
from plugin.label_studio.queues import QueueTask as Shown
from plugin.services import policies
from plugin.services.labels import to_label_set
from plugin.services.policies import ANY
from plugin.services.queues.codes import START
from plugin.services.queues.showing import blinds, reasons, to_shown, without_unshowable
from plugin.services.selection.ordering import arrange

OPEN = ("published", "leaving")


@dataclass(frozen=True)
class Reading:
    """What a plan is made of: the round's items of the domain, and the tasks of the queue by utterance."""

    queue: Queue
    changes: int
    selection: SelectionRow
    shows_id: int
    goes_on: bool
    items: Sequence[StratumItem]
    present: Mapping[int, QueueTask]
    elsewhere: set[int]
    show: Callable[[PlannedItem, float], Shown]

    @cached_property
    def planned(self) -> dict[int, StratumItem]:
        kept = (item for item in self.items if not item.is_dropped)
        return {item.utterance_id: item for item in kept if item.utterance_id not in self.elsewhere}

    @cached_property
    def open_tasks(self) -> dict[int, QueueTask]:
        """In the order of their codes."""
        return {id_: task for id_, task in self.present.items() if task.state in OPEN}

    @cached_property
    def skipped(self) -> list[int]:
        """What people skipped, in the order of skipping: it has been served, and is served again behind the rest."""
        tasks = self.open_tasks.items()
        return [id_ for id_, task in tasks if task.state == "published" and task.rank_code >= LAST_CODES]

    @cached_property
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


def read(session: Session, queue: Queue, selection: SelectionRow) -> Reading:
    tasks = queue_rows.tasks(session, queue.id)
    items = strata.items(session, selection.id, queue.domain)
    reason, blind = reasons(session, selection), blinds(selection, tasks)
    shown = None if queue.selection_id is None else strata.round_id(session, queue.selection_id)
    return Reading(
        queue=queue,
        changes=queue.changes,
        selection=selection,
        shows_id=strata.of_round(session, selection.id)[-1].id,
        goes_on=queue.order_id is not None and shown == selection.id,
        items=items,
        present={task.utterance_id: task for task in tasks if task.state != "removed"},
        elsewhere=queue_rows.utterances_elsewhere(session, queue, [item.utterance_id for item in items]),
        show=lambda item, code: to_shown(item, code, reason(item), blind=blind(item)),
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

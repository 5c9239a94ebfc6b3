"""What a queue shows of an utterance."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy.orm import Session

from db.models import Queue, SelectionRow
from db.models import QueueTask as Task
from db.repositories import models
from db.repositories import queues as queue_rows
from db.repositories.queues import PlannedItem
from plugin.label_studio.queues import QueueTask
from plugin.label_studio.screen import domain_problem, name_problem
from plugin.quality.selection import is_blind
from plugin.records import Hypothesis, Slot
from plugin.services import policies
from plugin.services.policies import ANY
from plugin.services.reasons import sentence

log = logging.getLogger(__name__)


def reasons(session: Session, selection: SelectionRow) -> Callable[[PlannedItem], str]:
    """The sentence of every item, from what the model of its round says of it."""
    version = models.get(session, selection.model_version_id)
    assert version is not None
    vocabulary, replicates = version.vocabulary, version.replicates
    return lambda item: sentence(item, vocabulary, replicates)


def blinds(selection: SelectionRow, tasks: Iterable[Task]) -> Callable[[PlannedItem], bool]:
    """Which items are shown with nothing filled in: drawn by the round's policy when an utterance enters the queue, by
    its seed and nothing else, and kept from then on, whatever round it is in.
    """
    kept = {task.utterance_id: task.blind for task in tasks}
    rounds = {domain: policies.from_json(values) for domain, values in selection.policy.items()}

    def draw(item: PlannedItem) -> bool:
        policy = rounds.get(item.domain, rounds[ANY])
        return kept.get(item.utterance_id, is_blind(policy.seed, item.utterance_id, policy.blind_share))

    return draw


def to_shown(item: PlannedItem, rank_code: float, reason: str, *, blind: bool = False) -> QueueTask:
    slots = tuple(sorted(Slot(start, end, label) for start, end, label in item.slots))
    return QueueTask(
        utterance_id=item.utterance_id,
        text=item.text,
        hypothesis=Hypothesis(item.domain, item.intent, slots),
        reason=reason,
        rank_code=rank_code,
        columns={"record": item.external_id, "source": item.source},
        blind=blind,
    )


def unshowable(item: PlannedItem) -> list[str]:
    """The labels of an item that Label Studio cannot show."""
    found = [f"domain {item.domain!r}"] if domain_problem(item.domain) else []
    found += [f"intent {item.intent!r}"] if name_problem(item.intent) else []
    return found + sorted({f"slot {label!r}" for _, _, label in item.slots if name_problem(label)})


def without_unshowable(items: Sequence[PlannedItem], locale: str) -> list[PlannedItem]:
    counts = Counter(label for item in items for label in unshowable(item))
    for label, count in sorted(counts.items()):
        log.warning("%s of %s: Label Studio cannot show it; %d utterances are left out", label, locale, count)
    return [item for item in items if not unshowable(item)]


def open_external_ids(session: Session, queue: Queue) -> dict[int, str]:
    """Utterance id -> its record's own id, of the tasks that a queue still serves."""
    version = models.champion(session, queue.locale)
    items = queue_rows.open_items(session, queue.id, version.id if version else 0)
    return {utterance_id: item.external_id for utterance_id, item in items.items()}

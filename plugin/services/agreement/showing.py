"""What second people and adjudicators are shown of an utterance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.repositories import queues as queue_rows
from db.repositories import selections
from db.repositories.opinions import ADJUDICATION, Answer
from db.repositories.queues import PlannedItem
from plugin.label_studio.opinions import both_said, common, said
from plugin.label_studio.queues import QueueTask as Shown
from plugin.label_studio.screen import LabelSet
from plugin.records import Hypothesis, Slot
from plugin.services.agreement.cases import Case
from plugin.services.labels import to_label_set
from plugin.services.queues.showing import reasons, to_shown


def read_shown(session: Session, queue: Queue, planned: Sequence[QueueTask], cases: Iterable[Case]) -> list[Shown]:
    """As the first person saw it, at that revision; for adjudication, with both answers instead of a hypothesis."""
    by_utterance = {case.utterance_id: case for case in cases}
    shown = {}
    for selection_id in {task.selection_id for task in planned}:
        selection = selections.get(session, selection_id)
        assert selection is not None
        reason = reasons(session, selection)
        items = queue_rows.open_items(session, queue.id, selection.model_version_id, states=("planned",))
        for task in planned:
            if task.selection_id == selection_id:
                item = items[task.utterance_id]
                case = by_utterance[task.utterance_id]
                shown[task.utterance_id] = (
                    to_adjudicate(item, case, task.rank_code)
                    if queue.kind == ADJUDICATION
                    else to_shown(item, task.rank_code, reason(item), blind=task.blind)
                )
    return [shown[task.utterance_id] for task in planned]


def to_adjudicate(item: PlannedItem, case: Case, rank_code: float) -> Shown:
    """The order of the answers is drawn by hash: it does not tell who was first."""
    first, second = case.first, case.second
    assert first is not None
    assert second is not None
    pair = [first, second] if draw_order(case.utterance_id) else [second, first]
    labels = [to_label(answer) for answer in pair]
    one, other = (
        said(label, item.text, answer.reject_reason) for label, answer in zip(labels, pair, strict=True)
    )  # fmt: skip
    return Shown(
        utterance_id=item.utterance_id,
        text=item.text,
        hypothesis=common(*labels),
        reason=both_said(one, other),
        rank_code=rank_code,
        columns={"record": item.external_id, "source": item.source},
    )


def draw_order(utterance_id: int) -> bool:
    return hashlib.sha256(f"order:{utterance_id}".encode()).digest()[0] < 128


def to_label(answer: Answer) -> Hypothesis | None:
    if answer.domain is None or answer.intent is None:
        return None
    slots = tuple(sorted(Slot(int(start), int(end), str(label)) for start, end, label in answer.slots))
    return Hypothesis(answer.domain, answer.intent, slots)


def read_labels(session: Session, locale: str, shown: Iterable[Shown], cases: Iterable[Case]) -> LabelSet:
    """All that a person may choose in the locale, and what anybody has said of these utterances."""
    selection = selections.current(session, locale)
    known = queue_rows.label_sets(session, locale) if selection is None else queue_rows.round_labels(session, selection)
    pairs, slots = set(known[0]), set(known[1])
    answers = [answer for case in cases for answers in case.said.values() for answer in answers]
    labels = [task.hypothesis for task in shown] + [to_label(answer) for answer in answers]
    for label in labels:
        if label is not None:
            pairs.update({(label.domain, label.intent)} if label.intent else ())
            slots.update(slot.label for slot in label.slots)
    return to_label_set(pairs, slots)

"""Checks of the queues' projects, which everybody in Label Studio may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

from db.models import Queue
from db.repositories import queues as queue_rows
from db.repositories import symptoms
from db.repositories.symptoms import Served
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.inspection import webhook_settings
from plugin.label_studio.opinions import name_of
from plugin.label_studio.queues import BY_IMPORT
from plugin.label_studio.screen import has_marker, queue_marker
from plugin.label_studio.tabs import TABS
from plugin.services.doctor.findings import Finding
from plugin.services.doctor.patient import LABEL_STUDIO, SCHEMA, Patient, check
from plugin.services.watching import Change, changes, is_same, wanted_of

NOT_FOUND = 404
REVIEW = "review"
BY_SETTING = {
    "sampling": "sampling-changed",
    "model_version": "model-version-changed",
    "maximum_annotations": "several-annotations",
    "label_config": "screen-edited",
}
# A round and its extensions are published within this time.
PUBLISHED_WITHIN = timedelta(minutes=5)
LATEST = 60
ENOUGH_PAIRS = 100
IN_ORDER = 0.5


@dataclass(frozen=True)
class Seen:
    """A queue and its project."""

    queue: Queue
    project: Mapping[str, Any]

    @property
    def project_id(self) -> int:
        return int(self.project["id"])

    @property
    def is_ours(self) -> bool:
        marker = queue_marker(self.queue.locale, name_of(self.queue.kind, self.queue.domain))
        return has_marker(self.project["label_config"], marker) or is_same(self.project, self.queue)


@check("queues", LABEL_STUDIO, SCHEMA)
def projects(patient: Patient) -> Iterator[Finding]:
    for queue in published(patient):
        seen = look_at(patient, queue)
        if seen is None:
            yield Finding(
                "project-gone",
                f"The project {queue.project_id} of {name(queue)} is no longer in Label Studio.",
                publishing(patient, queue),
            )
        elif not seen.is_ours:
            title = seen.project["title"]
            yield Finding("project-not-ours", f"Project {queue.project_id}, {title!r}, is not the queue {name(queue)}.")
        else:
            yield from edited(patient, seen)
            yield from surroundings(patient, seen)


@check("order of reviews", SCHEMA)
def order(patient: Patient) -> Iterator[Finding]:
    """A membership row is seen nowhere in Label Studio's API. What it does is: reviews come in another order."""
    for queue in published(patient):
        if queue.kind != REVIEW or (queue.settings or {}).get("sampling") == BY_IMPORT:
            continue
        with patient.transaction()() as session:
            served = symptoms.served_lately(session, queue.id, LATEST)
        pairs, share = concordance(served)
        if pairs >= ENOUGH_PAIRS and share < IN_ORDER:
            yield Finding(
                "order-random",
                f"Of {pairs} pairs of the last {len(served)} reviews of {name(queue)}, "
                f"{1 - (share + 1) / 2:.0%} came in the wrong order.",
            )


def concordance(served: Sequence[Served]) -> tuple[int, float]:
    """How many pairs of tasks were both in the queue when the first of them was reviewed; and Kendall's tau of them."""
    right = wrong = 0
    for first, then in combinations(served, 2):
        if then.planned_at + PUBLISHED_WITHIN < first.at and first.rank_code != then.rank_code:
            right += first.rank_code < then.rank_code
            wrong += first.rank_code > then.rank_code
    pairs = right + wrong
    return pairs, (right - wrong) / pairs if pairs else 1.0


def published(patient: Patient) -> list[Queue]:
    with patient.transaction()() as session:
        every = queue_rows.every(session, patient.instance)
    return [queue for queue in every if queue.project_id is not None and queue.state == "active"]


def look_at(patient: Patient, queue: Queue) -> Seen | None:
    """None when the project is gone."""
    assert queue.project_id is not None
    try:
        return Seen(queue, patient.label_studio.get_project(queue.project_id))
    except LabelStudioError as error:
        if error.status == NOT_FOUND:
            return None
        raise


def edited(patient: Patient, seen: Seen) -> Iterator[Finding]:
    found = differences(seen)
    if found:  # a publication may have been between its last request and its row
        with patient.transaction()() as session:
            again = queue_rows.get(session, seen.queue.id)
        found = differences(Seen(again, patient.label_studio.get_project(seen.project_id))) if again else []
        if again and again.importing_since and datetime.now(UTC) - again.importing_since < PUBLISHED_WITHIN:
            found = [change for change in found if change.name != "model_version"]
    for change in found:
        kind = BY_SETTING.get(change.name, "setting-changed")
        yield Finding(kind, f"{name(seen.queue)}: {change}.", lambda: patient.watch(seen.project_id))


def differences(seen: Seen) -> list[Change]:
    return changes(seen.project, wanted_of(seen.queue))


def surroundings(patient: Patient, seen: Seen) -> Iterator[Finding]:
    client, project_id, who = patient.label_studio, seen.project_id, name(seen.queue)
    missing = {tab.title for tab in TABS}.difference(client.tabs(project_id))
    if missing:
        what = f"The project of {who} lacks the tabs {', '.join(sorted(missing))}."
        yield Finding("tabs-missing", what, lambda: client.ensure_tabs(project_id))
    for title in client.ml_backends(project_id):
        yield Finding("ml-backend", f"The ML backend {title!r} is connected to the project of {who}.")
    if seen.queue.surplus > 0:
        yield Finding("tasks-by-hand", f"{seen.queue.surplus} tasks in the project of {who} are not Assay's.")
    yield from webhook(patient, seen)


def webhook(patient: Patient, seen: Seen) -> Iterator[Finding]:
    wanted = patient.webhook
    if wanted is None:
        return
    ours = [hook for hook in patient.label_studio.webhooks(seen.project_id) if hook.url == wanted.url]
    who, mend = name(seen.queue), _webhook_mend(patient, seen.project_id)
    if not ours:
        yield Finding("webhook-missing", f"The project of {who} has no webhook to {wanted.url}.", mend)
    elif not ours[0].is_active:
        yield Finding("webhook-off", f"The webhook of {who} is switched off.", mend)
    elif not ours[0].serves(webhook_settings(wanted.url, wanted.secret)):
        yield Finding("webhook-changed", f"The webhook of {who} has another secret or other actions.", mend)


def _webhook_mend(patient: Patient, project_id: int) -> Callable[[], object]:
    assert patient.webhook is not None
    url, secret = patient.webhook.url, patient.webhook.secret
    return lambda: patient.label_studio.ensure_webhook(project_id, url, secret)


def publishing(patient: Patient, queue: Queue) -> Callable[[], object]:
    return lambda: patient.publish(queue.id)


def name(queue: Queue) -> str:
    return f"{queue.locale} {queue.domain if queue.kind == REVIEW else queue.kind}"

"""Webhooks: a hint that something happened, and nothing more."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from plugin.label_studio.payloads.common import Json, PayloadError


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A hint that something happened; `dedup_key` is the same for the same event sent twice."""

    action: str
    project_id: int | None
    task_ids: tuple[int, ...]
    annotation_ids: tuple[int, ...]
    dedup_key: str


def parse_webhook(body: object) -> WebhookEvent:
    """Raises PayloadError when `body` is no webhook of Label Studio."""
    if not isinstance(body, Mapping) or not isinstance(body.get("action"), str):
        raise PayloadError("not a Label Studio webhook: expected a JSON object with an action")
    tasks = _objects(body, "task") + _objects(body, "tasks")
    annotations = _objects(body, "annotation") + _objects(body, "annotations")
    projects = _objects(body, "project")
    try:
        project_id = next((int(project["id"]) for project in projects), None)
        task_ids = {int(task["id"]) for task in tasks} | {
            int(annotation["task"]) for annotation in annotations if annotation.get("task") is not None
        }
        annotation_ids = sorted(int(annotation["id"]) for annotation in annotations)
    except (KeyError, TypeError, ValueError) as error:
        raise PayloadError(f"webhook {body['action']}: an id is missing or not a number") from error
    times = sorted(str(item["updated_at"]) for item in (annotations or tasks or projects) if item.get("updated_at"))
    parts = (body["action"], project_id, sorted(task_ids), annotation_ids, times)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return WebhookEvent(body["action"], project_id, tuple(sorted(task_ids)), tuple(annotation_ids), key)


def _objects(body: Json, key: str) -> list[Json]:
    value = body.get(key)
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, Mapping)]

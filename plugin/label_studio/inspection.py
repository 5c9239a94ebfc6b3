"""What only the doctor and the trial of the serving order ask of Label Studio."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from plugin.label_studio.calls import a_list, errors
from plugin.label_studio.connection import Connection
from plugin.label_studio.payloads import (
    Hook,
    ServerFacts,
    parse_date,
    parse_hook,
    parse_server_facts,
    read_utterance_id,
)

SECRET_HEADER = "X-Assay-Secret"  # noqa: S105
# Not TASKS_CREATED: it would send us back, in calls of 5,000, what we have just imported.
WEBHOOK_ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
)


def webhook_settings(url: str, secret: str, actions: Iterable[str] = WEBHOOK_ACTIONS) -> dict[str, Any]:
    return {
        "url": url,
        "headers": {SECRET_HEADER: secret},
        "actions": list(actions),
        "send_for_all_actions": False,
        "send_payload": True,
        "is_active": True,
    }


class Inspection(Connection):
    """A part of `client.SdkLabelStudio`."""

    def clock(self) -> datetime | None:
        with errors("clock"):
            return parse_date(self._sdk.versions.with_raw_response.get().response.headers.get("Date"))

    def server_facts(self) -> ServerFacts:
        """Nothing is told to an owner of the token who is no superuser."""
        with errors("settings"):
            # Not in the SDK: a page for people, at the path of its API less `api`.
            answer = self._sdk.versions.with_raw_response._client_wrapper.httpx_client.request("version/", method="GET")
            return parse_server_facts(answer.text if answer.is_success else "")

    def delete_project(self, project_id: int) -> None:
        with errors(f"delete project {project_id}"):
            self._sdk.projects.delete(project_id)

    def webhooks(self, project_id: int) -> list[Hook]:
        with errors(f"webhooks of project {project_id}"):
            present = self._sdk.webhooks.with_raw_response.list(project=str(project_id)).response.json()
            # A hook of the whole organisation has no project.
            return [parse_hook(hook) for hook in a_list(present) if hook["project"] == project_id]

    def tabs(self, project_id: int) -> list[str]:
        with errors(f"tabs of project {project_id}"):
            present = self._sdk.views.with_raw_response.list(project=project_id).response.json()
            return [str(view["data"].get("title")) for view in a_list(present)]

    def ml_backends(self, project_id: int) -> list[str]:
        """The titles of the machine-learning backends that somebody connected."""
        with errors(f"ML backends of project {project_id}"):
            present = self._sdk.ml.with_raw_response.list(project=project_id).response.json()
            return [str(backend["title"]) for backend in a_list(present)]

    def sorted_by(self, project_id: int, column: str) -> list[int | None]:
        """The utterance ids of a small project in the order of one of its columns."""
        query = json.dumps({"ordering": [f"tasks:data.{column}"]})
        with errors(f"order of project {project_id}"):
            page: Any = self._sdk.tasks.list(project=project_id, query=query, fields="all", page_size=100)
            return [read_utterance_id(task.model_dump(mode="json")) for task in page.items]

"""What Assay asks of Label Studio so that a task is served again, and to whom."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import httpx

from plugin.label_studio.calls import a_list, errors
from plugin.label_studio.connection import Connection
from plugin.label_studio.errors import LabelStudioError


class ReworkCalls(Connection):
    """A part of `client.SdkLabelStudio`: one request a task, so for the few that need it."""

    def keep_from(self, task_id: int, email: str) -> bool:
        if email not in self._user_ids:
            self.__dict__.pop("_user_ids", None)  # they may have signed up since
        user_id = self._user_ids.get(email)
        if user_id is None:
            return False
        with errors(f"keep task {task_id} from a person"):
            self._sdk.annotations.with_raw_response.create(
                id=task_id, result=[], was_cancelled=True, completed_by=user_id
            )
        return True

    def make_skip(self, annotation_id: int) -> None:
        with errors(f"annotation {annotation_id} as a skip"):
            self._sdk.annotations.with_raw_response.update(id=annotation_id, was_cancelled=True)

    def take_back(self, annotation_id: int) -> None:
        try:
            with errors(f"take back annotation {annotation_id}"):
                self._sdk.annotations.delete(annotation_id)
        except LabelStudioError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    def move_task(self, task_id: int, model_version: str, rank_code: float) -> None:
        with errors(f"predictions of task {task_id}"):
            answer: Any = self._sdk.predictions.with_raw_response.list(task=task_id).response.json()
            there = [(int(item["id"]), item["model_version"], item["score"]) for item in a_list(answer)]
        for prediction_id, version, score in there:
            if version == model_version and score != rank_code:
                with errors(f"move task {task_id}"):
                    self._sdk.predictions.update(prediction_id, score=rank_code)

    @cached_property
    def _user_ids(self) -> dict[str, int]:
        with errors("users"):
            users: Any = self._sdk.users.with_raw_response.list().response.json()
            return {str(user["email"]): int(user["id"]) for user in a_list(users)}

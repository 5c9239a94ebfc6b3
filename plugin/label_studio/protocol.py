"""What Assay asks of Label Studio; `client.SdkLabelStudio` does it, and a fake for tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from plugin.label_studio.payloads import DrawnTask, Glance, Hook, ServerFacts, TaskState
from plugin.label_studio.payloads.sources import SourceGlance, SourceTask, SourceWork

Json = Mapping[str, Any]


class SourceProjects(Protocol):
    """Somebody else's projects (`source_calls.SourceCalls`)."""

    def get_project(self, project_id: int) -> Json: ...
    def source_glance(self, project_id: int) -> SourceGlance: ...
    def source_tasks(
        self,
        project_id: int,
        *,
        after: int = 0,
        updated_since: datetime | None = None,
        with_predictions: bool = False,
        limit: int = 500,
    ) -> list[SourceTask]:
        """The next `limit` tasks by id; fewer when there are no more."""
        ...

    def source_tasks_of(
        self, project_id: int, task_ids: Sequence[int], *, with_predictions: bool = False
    ) -> list[SourceTask]:
        """Those of the tasks that there are."""
        ...

    def all_task_ids(self, project_id: int) -> set[int]: ...
    def source_work(self, project_id: int, task_ids: Sequence[int], known: Collection[int]) -> dict[int, SourceWork]:
        """What was done to those of the tasks that there are; `known` annotations were made by us."""
        ...

    def send_predictions(self, project_id: int, predictions: Sequence[Json]) -> None:
        """Tried once. Of an uncertain end, `source_work` tells later."""
        ...

    def annotate_from_predictions(self, project_id: int, task_ids: Sequence[int], versions: Sequence[str]) -> None:
        """Make an annotation of each prediction of these versions that has become none: twice is once."""
        ...

    def drop_predictions(self, project_id: int, version: str) -> None:
        """Delete all predictions of a version, if need be at the second try; the annotations made of them stay."""
        ...

    def delete_annotation(self, annotation_id: int) -> None: ...
    def add_data_field(self, project_id: int, task_ids: Sequence[int], name: str, value: str | float) -> None: ...
    def ensure_webhook(self, project_id: int, url: str, secret: str, actions: Sequence[str] = ...) -> None: ...
    def remove_webhook(self, project_id: int, url: str) -> None: ...


class LabelStudio(SourceProjects, Protocol):
    """Every method raises LabelStudioError when Label Studio refuses, fails or does not answer."""

    def close(self) -> None: ...
    def version(self) -> str: ...
    def whoami(self) -> str:
        """The e-mail address of the token's owner."""
        ...

    def project_url(self, project_id: int) -> str: ...
    def find_project(self, title: str, marker: str) -> int | None:
        """Our project of this title; one of the same title without our marker is somebody else's."""
        ...

    def create_project(self, settings: Json) -> int: ...
    def ensure_project(self, settings: Json, marker: str) -> int: ...
    def get_project(self, project_id: int) -> Json: ...
    def update_project(self, project_id: int, **changes: Any) -> None: ...
    def set_order(self, project_id: int, model_version: str) -> None:
        """Serve by the scores of `model_version` from now on: one PATCH, whatever the length of the queue."""
        ...

    def import_tasks(
        self,
        project_id: int,
        tasks: Sequence[Json],
        *,
        is_new: bool = False,
        on_doubt: Callable[[], None] | None = None,
    ) -> list[int]:
        """Task ids in the order of `tasks` (`queues.task_json`). Twice is once: utterances in the project stay.

        is_new    the caller knows that none of the utterances is there: the project is not listed first
        on_doubt  called when an answer was lost: what was sent may come a second time, later
        """
        ...

    def import_predictions(self, project_id: int, predictions: Sequence[Json], *, is_new: bool = False) -> int:
        """Each `queues.prediction_json` with a `task` id. Twice is once per task and model version.

        is_new  the caller knows that no task has one of these model versions: the project is not listed first
        """
        ...

    def list_tasks(
        self, project_id: int, updated_since: datetime | None = None, *, brief: bool = False
    ) -> Iterator[TaskState]:
        """In order of task id, so that what changes meanwhile may come twice but is never skipped.

        brief  of tasks without an annotation neither utterance nor scores, which would take most of the time
        """
        ...

    def glance(self, project_id: int) -> Glance:
        """Whether there is anything new at all, in one request that costs the same for every size of project."""
        ...

    def task_ids(self, project_id: int) -> dict[int, int | None]:
        """Every task id of the project -> its utterance id, cheaply: to see what was deleted."""
        ...

    def delete_tasks(self, project_id: int, task_ids: Sequence[int], *, leaving_since: datetime | None) -> list[int]:
        """Delete those that nobody has begun or holds; returns them.

        Whose lock a task carries cannot be seen: nothing is deleted before the locks of the time when the tasks
        were put last (`leaving_since`) have run out. None deletes at once: what should never have been served.
        What was deleted in between counts as deleted.
        """
        ...

    def ensure_webhook(self, project_id: int, url: str, secret: str, actions: Sequence[str] = ...) -> None:
        """Raises LabelStudioError with a status of 400 or 403 when Label Studio will not send there."""
        ...

    def ensure_tabs(self, project_id: int) -> None: ...
    def add_data_field(self, project_id: int, task_ids: Sequence[int], name: str, value: str | float) -> None:
        """Set one column of many tasks to one value; no webhook, no change of `updated_at`."""
        ...

    def next_task(self, project_id: int) -> DrawnTask | None:
        """What *Label All Tasks* serves to the token's owner, and locks for them; None when nothing is left."""
        ...

    def submit_annotation(
        self,
        task_id: int,
        result: Sequence[Json],
        *,
        lead_time_s: float | None = None,
        parent_prediction: int | None = None,
        skipped: bool = False,
    ) -> int: ...

    # What serves a task again, one request for each (`rework_calls.ReworkCalls`).

    def keep_from(self, task_id: int, email: str) -> bool:
        """Never serve the task to this person: an empty skip in their name. False when there is no such user."""
        ...

    def make_skip(self, annotation_id: int) -> None:
        """An answer becomes a skip: its task is open again, and served to everybody but its author."""
        ...

    def take_back(self, annotation_id: int) -> None:
        """A skip is gone: its author may be served the task again. Twice is once."""
        ...

    def move_task(self, task_id: int, model_version: str, rank_code: float) -> None:
        """Another place in the order of this model version."""
        ...

    # What the doctor and the trial of the serving order ask (`inspection.Inspection`).

    def clock(self) -> datetime | None:
        """Label Studio's time, to the second."""
        ...

    def server_facts(self) -> ServerFacts: ...
    def delete_project(self, project_id: int) -> None: ...
    def webhooks(self, project_id: int) -> list[Hook]: ...
    def tabs(self, project_id: int) -> list[str]: ...
    def ml_backends(self, project_id: int) -> list[str]: ...
    def sorted_by(self, project_id: int, column: str) -> list[int | None]:
        """The utterance ids of a small project, in the order of one of its columns."""
        ...

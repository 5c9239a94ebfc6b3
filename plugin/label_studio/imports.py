"""Bulk imports that can be repeated: what exists is listed, only what lacks is sent, every count is asserted.

A lost answer does not say whether Label Studio has done the work. So nothing is ever sent again before its effect
has been looked up, by `data.utterance_id` for tasks and by (task, model version) for predictions. What ends after all
patience, or after our own end, is deleted later (`plugin.services.tidying`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx

from plugin.label_studio.errors import LabelStudioError

Json = Mapping[str, Any]
Item = TypeVar("Item")

ATTEMPTS = 3
# Label Studio may be at work on a chunk whose answer was lost, and shows nothing of it before the end.
PAUSES_S = (2.0, 4.0, 8.0, 16.0, 32.0)


@dataclass(frozen=True, slots=True)
class Present:
    """A task that exists, and the model versions that have a prediction on it."""

    task_id: int
    utterance_id: int | None
    versions: frozenset[str] = field(default_factory=frozenset)


class BulkApi(Protocol):
    """What a bulk import needs; each call is tried once."""

    def present(self, project_id: int) -> Iterable[Present]: ...
    def send_tasks(self, project_id: int, tasks: Sequence[Json]) -> list[int]: ...
    def send_predictions(self, project_id: int, predictions: Sequence[Json]) -> None: ...
    def pause(self, seconds: float) -> None: ...


def import_tasks(
    api: BulkApi,
    project_id: int,
    tasks: Sequence[Json],
    chunk: int,
    *,
    is_new: bool = False,
    on_doubt: Callable[[], None] | None = None,
) -> list[int]:
    """The task ids, in the order of `tasks`; those that exist are kept as they are. May be repeated at will.

    `is_new`: the caller knows that none exists, so nothing is listed as long as every answer comes.
    """
    wanted = {int(task["data"]["utterance_id"]): task for task in tasks}
    if len(wanted) != len(tasks):
        raise ValueError("import_tasks: an utterance_id stands twice")
    if not tasks:
        return []
    there = {} if is_new else _by_utterance(api.present(project_id))

    def missing() -> list[Json]:
        return [task for utterance, task in wanted.items() if utterance not in there]

    def send(part: Sequence[Json]) -> None:
        ids = api.send_tasks(project_id, part)
        for task_id, task in zip(ids, part, strict=True):
            versions = frozenset(str(item["model_version"]) for item in task.get("predictions", ()))
            utterance = int(task["data"]["utterance_id"])
            there[utterance] = Present(task_id, utterance, versions)

    def look_again() -> None:
        if on_doubt is not None:
            on_doubt()
        there.update(_by_utterance(api.present(project_id)))

    _persist(api, chunk, missing, send, look_again)
    predictions = [
        {"task": there[utterance].task_id, **prediction}
        for utterance, task in wanted.items()
        for prediction in task.get("predictions", ())
        if str(prediction["model_version"]) not in there[utterance].versions
    ]
    if predictions:  # of tasks that an earlier attempt left without
        _import_predictions(api, project_id, predictions, chunk, list(there.values()))
    return [there[utterance].task_id for utterance in wanted]


def import_predictions(
    api: BulkApi, project_id: int, predictions: Sequence[Json], chunk: int, *, is_new: bool = False
) -> int:
    """How many were created; what a task already has under the same model version is not sent. May be repeated.

    `is_new`: the caller knows that there is none, and that the tasks are there: nothing is listed as long as every
    answer comes.
    """
    if not predictions:
        return 0
    if is_new:
        task_ids = {int(item["task"]) for item in predictions}
        try:
            return _import_predictions(api, project_id, predictions, chunk, [Present(id_, None) for id_ in task_ids])
        except LabelStudioError as error:
            if error.status != httpx.codes.BAD_REQUEST:
                raise  # else a task may have been deleted by hand: a look tells which
    return _import_predictions(api, project_id, predictions, chunk, list(api.present(project_id)))


def _import_predictions(
    api: BulkApi, project_id: int, predictions: Sequence[Json], chunk: int, there: Sequence[Present]
) -> int:
    wanted = {(int(item["task"]), str(item["model_version"])): item for item in predictions}
    if len(wanted) != len(predictions):
        raise ValueError("import_predictions: a task has two predictions of one model version")
    before = _pairs(there)
    gone = {task_id for task_id, _ in wanted} - {item.task_id for item in there}
    if gone:
        raise LabelStudioError(f"predictions for project {project_id}", 404, f"no tasks {sorted(gone)[:5]}")
    held = set(before)

    def missing() -> list[Json]:
        return [item for key, item in wanted.items() if key not in held]

    def send(part: Sequence[Json]) -> None:
        api.send_predictions(project_id, part)
        held.update((int(item["task"]), str(item["model_version"])) for item in part)

    def look_again() -> None:
        held.clear()
        held.update(_pairs(api.present(project_id)))

    _persist(api, chunk, missing, send, look_again)
    return len(wanted.keys() - before)


def _persist(
    api: BulkApi,
    chunk: int,
    missing: Callable[[], list[Json]],
    send: Callable[[Sequence[Json]], None],
    look_again: Callable[[], None],
) -> None:
    failures = 0
    lacking = missing()
    while lacking:
        part, rest = lacking[:chunk], lacking[chunk:]
        try:
            send(part)
            lacking = rest
        except LabelStudioError as error:
            failures += 1
            if not error.uncertain or failures == ATTEMPTS:
                raise
            look_again()
            for seconds in () if error.status == httpx.codes.CREATED else PAUSES_S:
                if missing() != lacking:
                    break
                api.pause(seconds)
                look_again()
            lacking = missing()


def _by_utterance(present: Iterable[Present]) -> dict[int, Present]:
    """The oldest task of each utterance: where somebody imported a double by hand, one of them is ours."""
    ordered = sorted(present, key=lambda item: item.task_id, reverse=True)
    return {item.utterance_id: item for item in ordered if item.utterance_id is not None}


def _pairs(present: Iterable[Present]) -> set[tuple[int, str]]:
    return {(item.task_id, version) for item in present for version in item.versions}


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

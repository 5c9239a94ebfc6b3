"""Attaching a project of somebody else's Label Studio: the map is tried on its tasks before anything is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from sqlalchemy.orm import Session

from db.models import SourceRow
from db.models.sources import WRITE_BACK
from db.repositories import queues as queue_rows
from db.repositories import sources as source_rows
from db.repositories import utterances
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.foreign_config import (
    CannotHoldError,
    Controls,
    can_hold_labels,
    holders,
    is_ours,
    parse_controls,
)
from plugin.label_studio.payloads.sources import SourceTask
from plugin.label_studio.protocol import Json, SourceProjects
from plugin.label_studio.task_map import TaskMap, check_map, parse_map
from plugin.records import Utterance
from plugin.services.ingest.collection import NOT_FOUND
from plugin.services.ingest.intake import check_source
from plugin.services.sources.reading import kinds, parse_tasks, settle

SHOWN = 5
# Attaching looks at so many tasks, the first ones; a dry run at all of them.
TRIED = 500
PAGE = 500
KINDS_SHOWN = 5


class AttachError(ValueError):
    """A project that cannot be attached as asked: what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asks for; `write_back` None leaves it to the project."""

    project_id: int
    maps: Sequence[str]
    write_back: str | None
    controls: Sequence[str]
    name: str | None


@dataclass(slots=True)
class Trial:
    """A project with a map that fits it, and what the map makes of its tasks.

    shown     the first tasks: the record of each, or what is wrong with it
    problems  (task id, message)
    """

    title: str
    how: TaskMap
    name: str
    write_back: str
    write_controls: Mapping[str, str]
    tried: int = 0
    with_hypothesis: int = 0
    with_score: int = 0
    shown: list[tuple[int, Utterance | str]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    _owners: dict[str, int] = field(default_factory=dict)

    def look_at(self, tasks: Sequence[SourceTask]) -> None:
        for item in settle(parse_tasks(tasks, self.how), self._owners):
            self.tried += 1
            if item.error is not None:
                self.problems.append((item.line, str(item.error)))
            elif item.record is not None:
                self.with_hypothesis += item.record.hypothesis is not None
                self.with_score += item.record.nlu_score is not None
            if len(self.shown) < SHOWN:
                self.shown.append((item.line, item.record or str(item.error)))

    @property
    def usable(self) -> int:
        return self.tried - len(self.problems)


def try_out(
    transaction: TransactionMaker, label_studio: SourceProjects, instance: str, asked: Asked, *, everything: bool
) -> Trial:
    """Read a project's tasks by the map, and keep nothing. Raises AttachError, MapError."""
    project = _project(label_studio, asked.project_id)
    with transaction() as session:
        if queue_rows.by_project(session, instance, asked.project_id) is not None or is_ours(project["label_config"]):
            raise AttachError(
                f"the project {asked.project_id}, {project['title']!r}, is one of Assay's own: "
                "its tasks are utterances already, and what is said of them is collected anyway"
            )
        name = _name(session, instance, asked)
    places = parse_map(asked.maps)
    how = TaskMap(places, parse_controls(project["label_config"]), str(project.get("model_version") or ""))
    tasks = _pages(label_studio, asked.project_id, how.reads_predictions, everything)
    first = next(tasks, [])
    check_map(places, how.controls, {str(column) for task in first for column in task.data})
    write_back, write_controls = _write_back(asked, how)
    trial = Trial(str(project["title"]), how, name, write_back, write_controls)
    for page in chain([first], tasks):
        trial.look_at(page)
    return trial


def attach(session: Session, instance: str, project_id: int, trial: Trial) -> SourceRow:
    """Keep the attachment; all tasks are read from now on. Raises AttachError when no task of it can be used."""
    if trial.tried and not trial.usable:
        reasons = "; ".join(f"{message} ({count} tasks)" for message, count, _ in kinds(trial.problems)[:KINDS_SHOWN])
        raise AttachError(f"none of the {trial.tried} tasks that were tried is an utterance by this map: {reasons}")
    values = {
        "title": trial.title, "name": trial.name, "mapping": trial.how.to_json(), "write_back": trial.write_back,
        "write_controls": dict(trial.write_controls),
    }  # fmt: skip
    return source_rows.attach(session, instance, project_id, values)


def default_name(instance: str, project_id: int) -> str:
    return f"label-studio-{instance}-{project_id}"


def _project(label_studio: SourceProjects, project_id: int) -> Json:
    try:
        return label_studio.get_project(project_id)
    except LabelStudioError as error:
        if error.status != NOT_FOUND:
            raise
        raise AttachError(f"Label Studio has no project {project_id}; its address shows a project's number") from None


def _name(session: Session, instance: str, asked: Asked) -> str:
    """The `source` of the utterances: for good, as they are known by it."""
    before = source_rows.by_project(session, instance, asked.project_id)
    if before is not None:
        if asked.name not in (None, before.name):
            raise AttachError(
                f"the utterances of project {asked.project_id} are of the source {before.name!r}, and stay that"
            )
        return before.name
    name = asked.name or default_name(instance, asked.project_id)
    try:
        check_source(name)
    except ValueError as error:
        raise AttachError(f"--{error}") from None
    if source_rows.by_name(session, name) is not None or utterances.is_source(session, name):
        raise AttachError(f"there are utterances of a source {name!r} already: give this one another --source")
    return name


def _pages(
    label_studio: SourceProjects, project_id: int, with_predictions: bool, everything: bool
) -> Iterator[list[SourceTask]]:
    last, read = 0, 0
    while True:
        page = label_studio.source_tasks(project_id, after=last, with_predictions=with_predictions, limit=PAGE)
        if page:
            yield page
            last, read = page[-1].task_id, read + len(page)
        if len(page) < PAGE or (not everything and read >= TRIED):
            return


def _write_back(asked: Asked, how: TaskMap) -> tuple[str, dict[str, str]]:
    """How reviews go back: as annotations where the project's controls can hold a label, else as columns of data."""
    wanted = dict(_control(item) for item in asked.controls)
    if wanted and asked.write_back in ("none", "data"):
        raise AttachError(f"--control is for --write-back annotation, not for {asked.write_back}")
    try:
        chosen = holders(how.controls, how.text_field, wanted, how.read_from)
    except CannotHoldError as error:
        raise AttachError(f"--control {error}") from None
    holds = can_hold_labels(chosen, how.controls)
    if asked.write_back is None:
        return ("annotation", chosen) if holds else ("data", {})
    if asked.write_back not in WRITE_BACK:
        raise AttachError(f"--write-back {asked.write_back}: must be {', '.join(WRITE_BACK)}")
    if asked.write_back != "annotation":
        return asked.write_back, {}
    if not holds:
        raise AttachError(f"--write-back annotation: {_lacks(chosen, how.controls)}")
    return "annotation", chosen


def _control(item: str) -> tuple[str, str]:
    part, sign, name = item.partition("=")
    if not sign or part not in ("domain", "intent", "slots", "verdict") or not name:
        raise AttachError(f"--control {item}: must be domain=, intent=, slots= or verdict= and a control's name")
    return part, name


def _lacks(chosen: Mapping[str, str], controls: Controls) -> str:
    missing = [part for part in ("domain", "intent", "slots") if part not in chosen]
    names = ", ".join(sorted(controls)) or "none"
    return (
        f"the labelling configuration has no control for {' and '.join(missing)} (it has {names}); "
        "name it with --control, like --control intent=NAME, or take --write-back data"
    )

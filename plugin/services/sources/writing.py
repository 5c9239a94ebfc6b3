"""Reviews go back to the tasks their utterances came from. Twice equals once.

What a source task carries of ours is the last word on its text as it is now, or nothing: a review that was taken back,
or made of an earlier text, is taken away there too. Never where a person has annotated the task in its own project.

data        columns `assay_verdict`, `assay_domain`, `assay_intent`, `assay_slots`: one request for all the tasks that
            get the same value, which Label Studio does not count as a change of the task
annotation  an annotation by our token: imported in bulk as predictions, of which Label Studio makes annotations once,
            and which are deleted then
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from db.models import SourceRow
from db.repositories import sources as source_rows
from db.repositories import write_backs
from db.repositories.write_backs import Dealt, Due
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.foreign_config import CannotHoldError, regions
from plugin.label_studio.payloads.sources import OUR_VERSION, SourceWork
from plugin.label_studio.protocol import Json, SourceProjects
from plugin.label_studio.task_map import WRITTEN_COLUMNS, MapError, TaskMap
from plugin.records import Hypothesis, Slot
from plugin.services.ingest.collection import NOT_FOUND
from plugin.services.sources import leftovers
from plugin.services.sources.polling import source_of
from plugin.services.sources.reading import task_map

log = logging.getLogger(__name__)

BATCH = 500
BATCHES_A_RUN = 10
BY_A_PERSON = "a person has annotated it there"


@dataclass(frozen=True, slots=True)
class WrittenBack:
    """How many reviews were written, taken back, have to wait because the task is at work or new, or have no place.

    `is_done`: a run over all that was due has come to its end.
    """

    source_id: int
    written: int = 0
    taken_back: int = 0
    waiting: int = 0
    refused: int = 0
    is_done: bool = True

    @property
    def has_progress(self) -> bool:
        """Else another run, too, would find what has to wait."""
        return bool(self.written or self.taken_back or self.refused)

    def __add__(self, other: object) -> WrittenBack:
        if not isinstance(other, WrittenBack):
            return NotImplemented
        return WrittenBack(
            self.source_id,
            self.written + other.written,
            self.taken_back + other.taken_back,
            self.waiting + other.waiting,
            self.refused + other.refused,
            other.is_done,
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A task to be written to. `target` is what it shall carry, `result` its regions; None for nothing."""

    due: Due
    work: SourceWork
    target: dict[str, Any] | None
    result: Sequence[Json] = ()

    @property
    def task_id(self) -> int:
        return self.due.task_id

    @property
    def made(self) -> list[int]:
        """Our annotations that say what this one shall say."""
        if self.target is None or not self.result:
            return []
        return sorted(id_ for id_, ours in self.work.ours.items() if _gist(ours.result) == _gist(self.result))

    @property
    def is_new(self) -> bool:
        return self.target is not None and bool(self.result) and not self.made

    @property
    def versions(self) -> frozenset[str]:
        """Of our predictions that the task has, and will have."""
        return self.work.predicted | ({self.version} if self.is_new else set())

    @property
    def version(self) -> str:
        """Of the prediction that becomes this annotation: none that the task has, which may say something else."""
        versions = (OUR_VERSION if number == 0 else f"{OUR_VERSION}-{number + 1}" for number in count(self.due.writes))
        return next(version for version in versions if version not in self.work.predicted)


class Writer:
    """One run over a source. Everything is written in bulk, and recorded batch by batch."""

    def __init__(
        self, transaction: TransactionMaker, label_studio: SourceProjects, source: SourceRow, how: TaskMap
    ) -> None:
        self._transaction = transaction
        self._label_studio = label_studio
        self._source = source
        self._project = source.project_id
        self._how = how

    def write(self, due: Sequence[Due]) -> WrittenBack:
        if not due:
            return WrittenBack(self._source.id)
        jobs, settled = self._judge(due)
        with self._transaction() as session:
            write_backs.record(session, self._source.id, settled)
            write_backs.begin(session, self._source.id, [job.task_id for job in jobs])
            write_backs.note_versions(session, self._source.id, {version for job in jobs for version in job.versions})
        if self._source.write_back == "data":
            self._fill({job.task_id: job.target for job in jobs})
            done = [_done(job, self._keep_one(job), 0) for job in jobs]
        else:
            self._fill({job.task_id: None for job in jobs if job.due.written and job.due.written["as"] == "data"})
            done = self._annotate(jobs)
        with self._transaction() as session:
            write_backs.record(session, self._source.id, done)
        leftovers.drop(self._transaction, self._label_studio, self._source)
        written = sum(row.written is not None for row in done)
        refused = sum(row.problem is not None for row in settled)
        waiting = len(due) - len(settled) - len(done)
        return WrittenBack(self._source.id, written, len(done) - written, waiting, refused)

    def _judge(self, due: Sequence[Due]) -> tuple[list[Job], list[Dealt]]:
        """What is to be written, and what is settled without; the others have to wait."""
        works = self._works([row.task_id for row in due], due)
        outcomes = [self._judge_one(row, works.get(row.task_id)) for row in due]
        jobs = [outcome for outcome in outcomes if isinstance(outcome, Job)]
        return jobs, [outcome for outcome in outcomes if isinstance(outcome, Dealt)]

    def _judge_one(self, due: Due, work: SourceWork | None) -> Job | Dealt | None:
        target = target_of(due, self._source.write_back)
        settled = Dealt(
            due.task_id, due.review_id, due.review_at, due.written, due.annotation_id, due.writes, is_new=False
        )
        if target == due.written and not due.is_begun:
            return settled
        if work is None or work.has_draft:
            return None
        if target is None:
            return Job(due, work, None)
        if self._how.text(work.task) != due.text:
            return None  # the next poll makes a revision of it
        if work.by_people:
            return settled._replace(problem=BY_A_PERSON)
        if self._source.write_back == "data":
            return Job(due, work, target)
        try:
            result = regions(
                label_of(due), due.verdict or "", due.text, self._source.write_controls, self._how.controls
            )
        except CannotHoldError as error:
            return settled._replace(problem=str(error))
        return Job(due, work, target, result)

    def _fill(self, targets: Mapping[int, Json | None]) -> None:
        """The columns of tasks, one request for each value of each column."""
        for column in WRITTEN_COLUMNS:
            groups: dict[str, list[int]] = defaultdict(list)
            for task_id, target in targets.items():
                groups[_cell(target, column)].append(task_id)
            for value, task_ids in groups.items():
                self._label_studio.add_data_field(self._project, task_ids, column, value)

    def _annotate(self, jobs: Sequence[Job]) -> list[Dealt]:
        """What a run that died has left there is found by what it says, and what it left beside that is deleted."""
        new = [job for job in jobs if job.is_new]
        if new:
            versions = {job.task_id: job.version for job in new}
            predictions = [
                {"task": job.task_id, "model_version": versions[job.task_id], "score": 1.0, "result": [*job.result]}
                for job in new
            ]
            self._label_studio.send_predictions(self._project, predictions)
            self._label_studio.annotate_from_predictions(self._project, list(versions), sorted({*versions.values()}))
            works = self._works(list(versions), [job.due for job in new])
            jobs = [replace(job, work=works.get(job.task_id, job.work)) for job in jobs]
        return [_done(job, self._keep_one(job), 1) for job in jobs if job.made or job.target is None]

    def _keep_one(self, job: Job) -> int | None:
        """The annotation that says it, none in data mode; our others are deleted."""
        kept = next(iter(job.made), None)
        for annotation_id in job.work.ours.keys() - {kept}:
            try:
                self._label_studio.delete_annotation(annotation_id)
            except LabelStudioError as error:
                if error.status != NOT_FOUND:
                    raise
        return kept

    def _works(self, task_ids: Sequence[int], due: Iterable[Due]) -> dict[int, SourceWork]:
        known = [row.annotation_id for row in due if row.annotation_id is not None]
        return self._label_studio.source_work(self._project, task_ids, known)


def write_back(
    transaction: TransactionMaker, label_studio: SourceProjects, instance: str, source_id: int
) -> WrittenBack:
    """Write what is due in a source, from where the last run ended. Raises LookupError when there is no such source."""
    total = WrittenBack(source_id)
    with transaction() as session:
        source = source_of(session, instance, source_id)
    if source.state != "attached":
        return total
    if source.write_back == "none":
        leftovers.drop(transaction, label_studio, source)
        return total
    try:
        how = task_map(source, label_studio.get_project(source.project_id))
    except (LabelStudioError, MapError) as error:
        if isinstance(error, LabelStudioError) and error.status != NOT_FOUND:
            raise
        log.warning("source %s: nothing can be written back: %s", source.name, error)  # polling keeps it for people
        return total
    writer = Writer(transaction, label_studio, source, how)
    with transaction() as session:
        # They may carry annotations that are known by their predictions only, which every batch deletes.
        due = write_backs.due(session, source_id, BATCH, only_begun=True)
    total += writer.write(due)
    after = source.writing_after
    for _ in range(BATCHES_A_RUN):
        with transaction() as session:
            due = write_backs.due(session, source_id, BATCH, after or 0)
        total += writer.write(due)
        after = due[-1].task_id if len(due) == BATCH else None
        if after is None:
            break
    with transaction() as session:
        source_rows.change(session, source_id, writing_after=after)
    leftovers.drop(transaction, label_studio, source)
    return replace(total, is_done=after is None)


def target_of(due: Due, way: str) -> dict[str, Any] | None:
    """None where no review stands."""
    if due.review_id is None:
        return None
    said = {"verdict": due.verdict, "domain": due.domain, "intent": due.intent, "slots": due.slots or []}
    return {"as": way, **said}


def label_of(due: Due) -> Hypothesis | None:
    if due.domain is None or due.intent is None:
        return None
    slots = sorted(Slot(start, end, label) for start, end, label in due.slots or ())
    return Hypothesis(due.domain, due.intent, tuple(slots))


def _cell(target: Json | None, column: str) -> str:
    value = None if target is None else target[column.removeprefix("assay_")]
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value or "")


def _gist(result: Iterable[Json]) -> list[str]:
    """What regions say, apart from their names."""
    return sorted(json.dumps([region["from_name"], region["value"]], sort_keys=True) for region in result)


def _done(job: Job, annotation_id: int | None, writes: int) -> Dealt:
    due = job.due
    return Dealt(due.task_id, due.review_id, due.review_at, job.target, annotation_id, due.writes + writes)

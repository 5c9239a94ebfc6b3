"""Tasks of a source become utterances: mapped, checked as any record, and kept with what became of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy.orm import Session

from db.models import SourceRow
from db.repositories import sources as source_rows
from db.repositories import utterances
from db.repositories.sources import TaskKept
from db.session import TransactionMaker
from plugin.formats.checks import RecordError
from plugin.formats.files import Parsed
from plugin.formats.record import content_hash, parse_utterance
from plugin.label_studio.foreign_config import parse_controls
from plugin.label_studio.payloads.sources import SourceTask
from plugin.label_studio.protocol import Json
from plugin.label_studio.task_map import TaskMap, check_map, parse_map
from plugin.records import Utterance
from plugin.services.ingest.intake import Summary, ingest_utterances

# What a message says of one task: its numbers, and what stands in quotation marks.
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of tasks that were read; `ids` are the new and changed utterances, to be scored."""

    summary: Summary
    ids: list[int]
    left: int = 0

    def __add__(self, other: object) -> Taken:
        if not isinstance(other, Taken):
            return NotImplemented
        return Taken(self.summary + other.summary, [*self.ids, *other.ids], self.left + other.left)


NOTHING_TAKEN = Taken(Summary(), [])


def task_map(source: SourceRow, project: Json) -> TaskMap:
    """The stored map on the labelling configuration as it is now. Raises MapError when it no longer fits."""
    places = parse_map(f"{field}={place}" for field, place in source.mapping.items())
    controls = parse_controls(str(project["label_config"]))
    check_map(places, controls, ())
    return TaskMap(places, controls, str(project.get("model_version") or ""))


def parse_tasks(tasks: Iterable[SourceTask], how: TaskMap) -> Iterator[Parsed[Utterance]]:
    """Each task as a record, or why it is none; `line` is the task's id."""
    for task in tasks:
        raw = orjson.dumps(dict(task.data), default=str)
        try:
            record = parse_utterance(how.record(task))
        except RecordError as error:
            yield Parsed(task.task_id, raw, None, error)
        else:
            yield Parsed(task.task_id, raw, record, None, content_hash(record))


def settle(parsed: Iterable[Parsed[Utterance]], owners: dict[str, int]) -> Iterator[Parsed[Utterance]]:
    """An id that several tasks claim belongs to the one that has it already, else to the first, which has it then."""
    for item in parsed:
        owner = item.line if item.record is None else owners.setdefault(item.record.id, item.line)
        if owner == item.line:
            yield item
        else:
            yield item._replace(record=None, error=RecordError("id", f"the task {owner} has it already"))


def take(transaction: TransactionMaker, source: SourceRow, how: TaskMap, tasks: Sequence[SourceTask]) -> Taken:
    """New tasks become utterances, changed ones a new revision; what cannot be taken is kept with the reason.

    Whoever dies in between has left utterances that the next reading finds unchanged.
    """
    if not tasks:
        return NOTHING_TAKEN
    parsed = list(parse_tasks(tasks, how))
    claims = {item.line: item.record.id for item in parsed if item.record is not None}
    with transaction() as session:
        before = source_rows.utterances_of(session, source.id, [task.task_id for task in tasks])
        owners = source_rows.owners(session, source.id, claims.values())
    settled = list(settle(parsed, owners))
    chunks = list(ingest_utterances(transaction, settled, source.name, is_live=True))
    refused = {reject.line: reject.error for chunk in chunks for reject in chunk.rejects}
    with transaction() as session:
        left = _keep(session, source, claims, refused, before)
    summary = sum((chunk.summary for chunk in chunks), Summary())
    return Taken(summary, [id_ for chunk in chunks for id_ in chunk.ids], left)


def _keep(
    session: Session,
    source: SourceRow,
    claims: Mapping[int, str],
    refused: Mapping[int, RecordError],
    before: Mapping[int, int],
) -> int:
    """How many utterances left the pool because their task has another id now."""
    ids = utterances.ids(session, source.name, claims.values())
    taken = {line: ids[claim] for line, claim in claims.items() if line not in refused}
    kept = [TaskKept(line, claims[line], utterance_id, None) for line, utterance_id in taken.items()]
    kept += [TaskKept(line, claims.get(line), None, str(error)) for line, error in refused.items()]
    source_rows.put_tasks(session, source.id, kept)
    moved = {before[line] for line, utterance_id in taken.items() if before.get(line, utterance_id) != utterance_id}
    return source_rows.let_go(session, moved) if moved else 0


def kinds(problems: Iterable[tuple[int, str]]) -> list[tuple[str, int, int]]:
    """(the first message of its kind, how many, the first task), the most frequent first."""
    counts: Counter[str] = Counter()
    first: dict[str, tuple[str, int]] = {}
    for task_id, message in problems:
        kind = _PARTICULAR.sub("…", message)
        counts[kind] += 1
        first.setdefault(kind, (message, task_id))
    return [(first[kind][0], count, first[kind][1]) for kind, count in counts.most_common()]

"""What the commands of sources show: for people as tables, for programs as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.repositories.sources import SourceCounts
from plugin.cli.output import console, errors, print_table
from plugin.cli.status import age, queue_url
from plugin.formats.record import to_json
from plugin.label_studio.task_map import FIELDS
from plugin.records import Hypothesis, Utterance
from plugin.services import sources
from plugin.services.sources import Trial

KINDS_SHOWN = 10


def source_line(row: SourceCounts, now: datetime) -> dict[str, Any]:
    source = row.source
    looked = None if source.polled_at is None else round((now - source.polled_at).total_seconds())
    return {
        "project_id": source.project_id, "title": source.title, "source": source.name, "instance": source.instance,
        "state": "being read" if source.reading_after is not None else source.state, "age_s": looked,
        "locales": row.locales, "utterances": row.live, "rejected": row.rejected, "deleted": row.deleted,
        "write_back": source.write_back, "written": row.written, "not_written": row.unwritten, "error": source.error,
        "map": {field: source.mapping[field] for field in FIELDS if field in source.mapping},
        "url": queue_url(source.project_id),
    }  # fmt: skip


def show_sources(lines: list[dict[str, Any]]) -> None:
    if not lines:
        console.print("No project is attached: `assay label-studio attach --help` says how.", markup=False)
        return
    columns = [
        ">project", "title", "locales", "state", ">looked at", ">utterances", ">rejected", ">gone", "write back",
        ">written",
    ]  # fmt: skip
    print_table(
        "sources",
        columns,
        [
            [
                line["project_id"], line["title"], line["locales"], line["state"],
                "never" if line["age_s"] is None else f"{age(line['age_s'])} ago", line["utterances"],
                line["rejected"], line["deleted"], line["write_back"], line["written"],
            ]
            for line in lines
        ],
    )  # fmt: skip
    for line in lines:
        if line["error"]:
            errors.print(f"{line['source']}: {line['error']}", markup=False, soft_wrap=True)


def show_trial(project: int, trial: Trial, *, attached: bool) -> None:
    columns = [">task", "id", "locale", "text", "hypothesis", ">score"]
    if trial.shown:
        print_table(f"project {project}, {trial.title}: its first tasks", columns, [shown(*one) for one in trial.shown])
    show_kinds("tasks that cannot be taken", sources.kinds(trial.problems))
    console.print(
        f"{trial.tried} tasks read, {trial.usable} can be taken, {trial.with_hypothesis} with a hypothesis, "
        f"{trial.with_score} with a score; "
        f"reviews go back as: {trial.write_back}"
        + "".join(f" {part}={name}" for part, name in trial.write_controls.items()),
        markup=False,
    )
    for count, fields in ((trial.with_hypothesis, "domain and intent"), (trial.with_score, "nlu_score")):
        if trial.usable and not count:
            errors.print(f"Nothing of it will enter a queue without {fields}: map that too.", markup=False)
    if not trial.tried:
        errors.print("The project has no task yet, on which the map could be tried.", markup=False)
    outcome = (
        f"is attached as the source {trial.name}; the workers read it now" if attached else "is not attached: dry run"
    )
    console.print(f"project {project} {outcome}", markup=False)


def shown(task_id: int, found: Utterance | str) -> list[object]:
    if isinstance(found, str):
        return [task_id, None, None, found, None, None]
    return [task_id, found.id, found.locale, found.text, meaning(found.hypothesis, found.text), found.nlu_score]


def meaning(said: Hypothesis | None, text: str) -> str:
    if said is None:
        return ""
    slots = "".join(f", {slot.label}: {text[slot.start : slot.end]}" for slot in said.slots)
    return f"{said.domain} / {said.intent}{slots}"


def show_kinds(title: str, kinds: list[tuple[str, int, int]]) -> None:
    if kinds:
        rows = [[count, message, task_id] for message, count, task_id in kinds[:KINDS_SHOWN]]
        print_table(title, [">tasks", "reason (as of the first)", ">first task"], rows)
    if len(kinds) > KINDS_SHOWN:
        console.print(f"and {len(kinds) - KINDS_SHOWN} reasons more", markup=False)


def kinds_json(kinds: list[tuple[str, int, int]]) -> list[dict[str, object]]:
    return [{"reason": message, "tasks": count, "first_task": task_id} for message, count, task_id in kinds]


def trial_json(trial: Trial) -> dict[str, Any]:
    return {
        "title": trial.title, "source": trial.name, "map": trial.how.to_json(), "write_back": trial.write_back,
        "controls": dict(trial.write_controls), "read": trial.tried, "usable": trial.usable,
        "with_hypothesis": trial.with_hypothesis, "with_score": trial.with_score, "rejected": len(trial.problems),
        "problems": kinds_json(sources.kinds(trial.problems)),
        "first": [
            {"task": task_id, "problem": found}
            if isinstance(found, str)
            else {"task": task_id, "record": to_json(found)}
            for task_id, found in trial.shown
        ],
    }  # fmt: skip

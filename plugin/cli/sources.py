"""assay label-studio attach, detach, sources, sync: somebody else's projects whose tasks are utterances."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from db.models import SourceRow
from db.repositories import sources as source_rows
from db.repositories import write_backs
from plugin.cli.errors import CliError
from plugin.cli.ingest import SOME_REJECTED
from plugin.cli.output import console, errors, print_json, print_table
from plugin.cli.source_tables import kinds_json, show_kinds, show_sources, show_trial, source_line, trial_json
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.task_map import MapError
from plugin.services import ingest, sources
from plugin.services.sources import Asked, AttachError, Polled, WrittenBack
from plugin.wiring import Wiring, get_wiring

app = typer.Typer()

Project = Annotated[int, typer.Argument(help="The project's number, as in its address: .../projects/7/data")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


class Way(StrEnum):
    """How reviews go back to the tasks."""

    NONE = "none"
    DATA = "data"
    ANNOTATION = "annotation"


@app.command()
def attach(
    project: Project,
    maps: Annotated[
        list[str],
        typer.Option("--map", metavar="FIELD=PLACE", help="text=data.text, locale=en-US, domain=prediction.topic, ..."),
    ],
    write_back: Annotated[
        Way | None, typer.Option(help="Default: annotation where the project's controls can hold a label, else data.")
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(metavar="PART=CONTROL", help="What holds domain, intent, slots or verdict of an annotation."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Names the stream of utterances. Default: label-studio-INSTANCE-PROJECT.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read all tasks, show what becomes of them, stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take the tasks of a Label Studio project as utterances, and write what people say of them back.

    A field of the record format is read from a PLACE in each task: data.NAME, meta.NAME, prediction.CONTROL,
    prediction.score, task.created_at; with further dots it goes down. What is none is the same for every task
    (locale=en-US). text and locale are required; id is the task's unless mapped. Attaching again changes the map.

    Exit code 0: every task that was looked at can be taken, 3: some cannot, and the others are, 1: nothing is attached.
    """
    wiring = get_wiring()
    asked = Asked(project, maps, None if write_back is None else str(write_back), control or [], source)
    try:
        with errors.status("reading tasks"):
            trial = sources.try_out(wiring.transaction, wiring.label_studio, wiring.instance, asked, everything=dry_run)
        if not dry_run:
            with wiring.transaction() as session:
                source_id = sources.attach(session, wiring.instance, project, trial).id
    except (AttachError, MapError) as error:
        raise CliError(str(error)) from None
    no_news = None
    if not dry_run:
        webhook = wiring.webhook
        no_news = None if webhook is None else sources.ask_for_news(wiring.label_studio, project, webhook)
        wiring.send("ingest.poll_source", source_id)
    if as_json:
        print_json({"project": project, "attached": not dry_run, **trial_json(trial)})
    else:
        show_trial(project, trial, attached=not dry_run)
        if no_news is not None:
            errors.print(
                f"It will not tell of news, which are found within a minute all the same: {no_news}", markup=False
            )
    if trial.problems:
        raise typer.Exit(SOME_REJECTED if trial.usable else 1)


@app.command()
def detach(project: Project, as_json: AsJson = False) -> None:
    """Read a project no more, and write nothing to it any more. Everything that came of it stays."""
    wiring = get_wiring()
    found = known(wiring, project)
    if found.state != "attached":
        raise CliError(f"the project {project} is not attached; `assay label-studio sources` shows which are")
    with wiring.transaction() as session:
        waiting = write_backs.count_due(session, found.id) if found.write_back != "none" else 0
        source_rows.detach(session, found.id)
    if wiring.webhook is not None:
        try:
            wiring.label_studio.remove_webhook(project, wiring.webhook.url)
        except LabelStudioError as error:
            errors.print(f"Its webhook stays, and what it sends is ignored: {error}", markup=False)
    if as_json:
        return print_json({"project": project, "source": found.name, "not_written_back": waiting})
    unwritten = f" {waiting} reviews were not written back yet." if waiting else ""
    return console.print(f"project {project} is detached; its utterances and reviews stay.{unwritten}", markup=False)


@app.command("sources")
def list_sources(
    project: Annotated[int | None, typer.Argument(help="Only this one, with its map and its problems.")] = None,
    as_json: AsJson = False,
) -> None:
    """The attached projects: how much came of each, when it was last looked at, and what is wrong."""
    wiring = get_wiring()
    now = datetime.now(UTC)
    with wiring.transaction() as session:
        lines = [source_line(row, now) for row in source_rows.counts(session)]
        if project is not None:
            found = known(wiring, project)
            [line] = [line for line in lines if line["source"] == found.name]
            problems = sources.kinds(source_rows.problems(session, found.id))
            unwritten = sources.kinds(write_backs.problems(session, found.id))
    if project is None:
        return print_json(lines) if as_json else show_sources(lines)
    if as_json:
        line |= {"problems": kinds_json(problems), "not_written_because": kinds_json(unwritten)}
        return print_json(line)
    show_sources([line])
    console.print("map: " + " ".join(f"{field}={place}" for field, place in line["map"].items()), markup=False)
    show_kinds("tasks that cannot be taken as they stand", problems)
    return show_kinds("reviews that could not be written back", unwritten)


@app.command()
def sync(
    project: Annotated[int | None, typer.Argument(help="Only this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the attached projects and write back to them, now; the workers do so every minute."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        ids = [row.id for row in source_rows.attached(session, wiring.instance) if project in (None, row.project_id)]
    if project is not None and not ids:
        raise CliError(f"the project {project} is not attached; `assay label-studio sources` shows which are")
    lines = [sync_one(wiring, source_id) for source_id in ids]
    if as_json:
        print_json(lines)
    else:
        columns = ["source", ">new", ">changed", ">rejected", ">deleted", ">written back", ">taken back", "problem"]
        names = ("source", "new", "changed", "rejected", "deleted", "written", "taken_back", "problem")
        print_table("attached projects", columns, [[line[name] for name in names] for line in lines])
    if any(line["problem"] for line in lines):
        raise typer.Exit(1)


def sync_one(wiring: Wiring, source_id: int) -> dict[str, Any]:
    total, is_done = Polled(source_id), False
    while not is_done:
        polled = wiring.poll_source(source_id, wait=True, force=True)
        assert polled is not None
        for first, last in ingest.score_ranges(polled.taken.ids, wiring.settings.scoring_batch_size):
            wiring.send("scoring.score_batch", first, last)
        total, is_done = total + polled, polled.is_done
    with wiring.transaction() as session:
        source_rows.change(session, source_id, writing_after=None)
    written, is_done = WrittenBack(source_id), False
    while not is_done:
        done = wiring.write_back(source_id, wait=True)
        assert done is not None
        written, is_done = written + done, done.is_done
    with wiring.transaction() as session:
        name = sources.source_of(session, wiring.instance, source_id).name
    summary = total.taken.summary
    return {
        "source": name, "new": summary.new, "changed": summary.changed, "rejected": summary.rejected,
        "deleted": total.deleted, "written": written.written, "taken_back": written.taken_back,
        "waiting": written.waiting, "not_written": written.refused, "problem": total.problem,
    }  # fmt: skip


def known(wiring: Wiring, project: int) -> SourceRow:
    with wiring.transaction() as session:
        found = source_rows.by_project(session, wiring.instance, project)
    if found is None:
        raise CliError(f"the project {project} was never attached; `assay label-studio sources` shows which are")
    return found

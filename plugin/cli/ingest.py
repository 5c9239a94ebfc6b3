"""assay ingest: records of production logs and gold files in, reviews back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from db.repositories import polls
from plugin.cli.errors import CliError
from plugin.cli.output import console, errors, print_json, print_table
from plugin.formats.files import FileFormat, Parsed, RecordReader, open_records
from plugin.formats.record import LabelledUtterance, parse_gold, parse_utterance
from plugin.formats.rejects import RejectWriter, rejects_path
from plugin.formats.source import STDIN
from plugin.records import Utterance
from plugin.services import ingest
from plugin.services.ingest import Chunk, Collected, Summary
from plugin.wiring import Wiring, get_wiring

app = typer.Typer(no_args_is_help=True, help="Records in, reviews back. Exit code 3: some records were rejected.")

SOME_REJECTED = 3
MOVE_EVERY = 256

R = TypeVar("R", Utterance, LabelledUtterance)

Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="JSON Lines, CSV or Parquet, gzip or not; - for standard input.")
]
Format = Annotated[FileFormat | None, typer.Option("--format", help="Instead of what the file's name says.")]
Rejects = Annotated[
    Path | None, typer.Option(help="Where rejected records go. Default: FILE.rejects.jsonl, beside each file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def utterances(
    files: Files,
    source: Annotated[str, typer.Option(help="Names the stream; an id is unique within it.")] = ingest.DEFAULT_SOURCE,
    file_format: Format = None,
    rejects: Rejects = None,
    as_json: AsJson = False,
) -> None:
    """Take records of a production log into the pool, and have them scored.

    Reading a file again changes nothing; a changed record becomes a new revision. Exit code 0: all records were
    taken, 3: some were rejected and the others were taken, 1: an error.
    """
    check(ingest.check_source, source)
    wiring = get_wiring()
    asker = Asker(wiring)

    def take(records: Iterable[Parsed[Utterance]]) -> Iterator[Chunk]:
        for chunk in ingest.ingest_utterances(wiring.transaction, records, source):
            asker.ask(chunk)
            yield chunk

    taken = take_files(files, parse_utterance, file_format, rejects, take)
    report(taken, as_json, {"source": source, "scoring_requested": asker.is_heard})
    if not asker.is_heard:
        errors.print("The broker does not answer: scoring begins when the workers find the new rows by themselves.")
    finish(taken)


@app.command("annotations")
def gold(
    files: Files,
    partition: Annotated[str, typer.Option(help="train, dev, or the name of a test set.")],
    source: Annotated[
        str, typer.Option(help="Names the collection; an id is unique within it.")
    ] = ingest.DEFAULT_GOLD_SOURCE,
    file_format: Format = None,
    rejects: Rejects = None,
    as_json: AsJson = False,
) -> None:
    """Take gold data: records with a `label`, into one partition.

    An id stays in its partition for good. Exit codes as of `assay ingest utterances`.
    """
    check(ingest.check_source, source)
    check(ingest.check_partition, partition)
    wiring = get_wiring()

    def take(records: Iterable[Parsed[LabelledUtterance]]) -> Iterator[Chunk]:
        return ingest.ingest_annotations(wiring.transaction, records, source, partition)

    taken = take_files(files, parse_gold, file_format, rejects, take)
    report(taken, as_json, {"source": source, "partition": partition})
    finish(taken)


@app.command()
def reconcile(
    project: Annotated[int | None, typer.Option(help="Only this project of Label Studio.")] = None,
    as_json: AsJson = False,
) -> None:
    """Collect what was annotated in Label Studio, now; the workers do so every minute."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        known = polls.project_ids(session, wiring.instance)
    if project is not None and project not in known:
        raise CliError(f"no queue has the project {project}; the queues are shown by `assay status`")
    project_ids = known if project is None else [project]
    collected = [wiring.reconcile(project_id, wait=True, force=True) for project_id in sorted(project_ids)]
    found = [row for row in collected if row is not None]
    if as_json:
        # What follows is for workers: their sweeps find it, and do it.
        rows = [{name: value for name, value in asdict(row).items() if name != "follow_up"} for row in found]
        return print_json({"projects": rows})
    if not found:
        return errors.print("There is no queue in Label Studio yet: `assay selection refresh` makes some.")
    return print_reconciled(found)


@dataclass(frozen=True)
class Taken:
    """One file's outcome."""

    file: str
    summary: Summary
    rejects_file: Path | None

    def to_json(self) -> dict[str, Any]:
        rejects_file = None if self.rejects_file is None else str(self.rejects_file)
        return {"file": self.file, **asdict(self.summary), "rejects_file": rejects_file}


class Asker:
    """Asks for scores of what was committed, until the broker turns out to be away: then the sweep does."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self.is_heard = wiring.settings.broker_url is not None

    def ask(self, chunk: Chunk) -> None:
        ranges = ingest.score_ranges(chunk.ids, self._wiring.settings.scoring_batch_size)
        self.is_heard = self.is_heard and all(
            self._wiring.send("scoring.score_batch", first, last) for first, last in ranges
        )


def take_files(
    files: Sequence[str],
    parse: Callable[[object], R],
    file_format: FileFormat | None,
    rejects: Path | None,
    take: Callable[[Iterable[Parsed[R]]], Iterator[Chunk]],
) -> list[Taken]:
    """Every file is looked at before the first one is read."""
    check_files(files, rejects)
    for file in files:
        if file != STDIN:
            with open_records(file, parse, file_format):
                pass
    taken = []
    with ExitStack() as stack:
        shared = stack.enter_context(RejectWriter(rejects)) if rejects is not None else None
        bar = stack.enter_context(byte_bar())
        for file in files:
            with ExitStack() as of_file:
                writer = shared or of_file.enter_context(RejectWriter(rejects_path(file)))
                reader = of_file.enter_context(open_records(file, parse, file_format))
                taken.append(take_file(reader, file, take, writer, bar))
    return taken


def take_file(
    reader: RecordReader[R],
    file: str,
    take: Callable[[Iterable[Parsed[R]]], Iterator[Chunk]],
    writer: RejectWriter,
    bar: Progress,
) -> Taken:
    task = bar.add_task(Path(file).name if file != STDIN else reader.name, total=reader.bytes_total)
    summary = Summary()
    for chunk in take(watched(reader, bar, task)):
        summary += chunk.summary
        for reject in chunk.rejects:
            writer.write(reader.name, reject.line, reject.error, reject.raw)
    bar.update(task, completed=reader.bytes_read, total=reader.bytes_total or reader.bytes_read)
    return Taken(file, summary, writer.path if summary.rejected else None)


def watched(reader: RecordReader[R], bar: Progress, task: TaskID) -> Iterator[Parsed[R]]:
    for number, parsed in enumerate(reader):
        if number % MOVE_EVERY == 0:
            bar.update(task, completed=reader.bytes_read)
        yield parsed


def check(rule: Callable[[str], None], value: str) -> None:
    try:
        rule(value)
    except ValueError as error:
        raise CliError(f"--{error}") from None


def check_files(files: Sequence[str], rejects: Path | None) -> None:
    paths = [Path(file).resolve() for file in files if file != STDIN]
    if len(set(files)) < len(files) or len(set(paths)) < len(paths):
        raise CliError("a file is named twice")
    if rejects is not None and rejects.resolve() in paths:
        raise CliError(f"--rejects {rejects} would overwrite the file that is read")
    if rejects is not None and rejects.exists() and not rejects.is_file():
        raise CliError(f"--rejects {rejects} is not a regular file")
    folders = {rejects.parent} if rejects is not None else {rejects_path(file).parent for file in files}
    for folder in folders:
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise CliError(f"no rejected records can be written into {folder}: name another place with --rejects")


def byte_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
    )


def report(taken: Sequence[Taken], as_json: bool, about: dict[str, Any]) -> None:
    total = sum((file.summary for file in taken), Summary())
    if as_json:
        return print_json({**about, **asdict(total), "files": [file.to_json() for file in taken]})
    rows: list[list[object]] = [[file.file, *asdict(file.summary).values()] for file in taken]
    if len(rows) > 1:
        rows.append(["all", *asdict(total).values()])
    into = f" into {about['partition']}" if "partition" in about else ""
    print_table(f"source {about['source']}{into}", ["file", *(f">{name}" for name in asdict(total))], rows)
    for path in dict.fromkeys(file.rejects_file for file in taken if file.rejects_file):
        errors.print(f"Rejected records, each with its line and the reason: {path}", markup=False, soft_wrap=True)
    return None


def finish(taken: Sequence[Taken]) -> None:
    if any(file.summary.rejected for file in taken):
        raise typer.Exit(SOME_REJECTED)


def print_reconciled(found: Sequence[Collected]) -> None:
    news = [row for row in found if row.has_news]
    if news:
        print_table(
            "collected from Label Studio",
            [">project", ">new", ">updated", ">withdrawn", ">tasks annotated", ">tasks gone"],
            [[row.project_id, row.new, row.updated, row.withdrawn, row.annotated, row.removed] for row in news],
        )
    looked_at = "1 project" if len(found) == 1 else f"{len(found)} projects"
    outcome = f"{len(news)} with news" if news else "nothing new since the workers' last look"
    console.print(f"{looked_at} looked at, {outcome}")
    for row in found:
        for problem in row.problems:
            errors.print(f"project {row.project_id}: {problem}", markup=False, soft_wrap=True)

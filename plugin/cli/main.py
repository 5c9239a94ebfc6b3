"""Door 2: the `assay` command. One group per word; errors are one line, unless --debug."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError, SQLAlchemyError, StatementError

from plugin.cli import (
    data,
    db,
    demo,
    evaluation,
    experiment,
    ingest,
    label_studio,
    policy,
    scoring,
    selection,
    stack,
    status,
)
from plugin.cli.errors import CliError
from plugin.formats.source import UnreadableFileError
from plugin.label_studio.errors import LabelStudioError
from plugin.settings import SettingsError
from plugin.stack.part import StackError

app = typer.Typer(
    name="assay",
    help="Data quality for conversational assistants, inside Label Studio.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(stack.up)
app.command()(stack.down)
app.command()(status.status)
app.command()(demo.demo)
for group in (db, ingest, data, scoring, selection, evaluation, experiment, policy, label_studio):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2].replace("_", "-"))

EXPECTED = (CliError, SettingsError, StackError, UnreadableFileError, LabelStudioError)


@app.callback()
def options(debug: bool = typer.Option(False, "--debug", help="Show tracebacks.")) -> None:
    if debug:
        os.environ["ASSAY_DEBUG"] = "1"


def run() -> None:
    # Torch reads this when it is loaded, and the parts of `assay up` inherit it: its threads spin otherwise while they
    # wait for each other, and beside one busy process two of them are several times slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except (*EXPECTED, SQLAlchemyError, UnicodeEncodeError) as error:
        if os.environ.get("ASSAY_DEBUG"):
            raise
        Console(stderr=True, soft_wrap=True).print(f"[red]error:[/] {escape(one_line(error))}", highlight=False)
        sys.exit(1)


def one_line(error: Exception) -> str:
    """What to do is said where a user would otherwise meet the database driver's words.

    Of those only the first line is shown: SQL, parameters and rows may hold what people said.
    """
    if isinstance(error, UnicodeEncodeError):
        return f"a text that was given cannot be stored or shown: {error}"
    if not isinstance(error, SQLAlchemyError):
        return str(error)
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    reason = next(iter(str(cause).splitlines()), type(cause).__name__)
    if isinstance(error, OperationalError):
        return f"the database does not answer ({reason}): is `assay up` running?"
    if isinstance(error, ProgrammingError) and "does not exist" in reason:
        return "the schema is not there or not up to date: run `assay db upgrade`"
    if isinstance(error, DataError):
        return f"the database cannot take a value that was given: {reason}"
    return f"the database refused it: {reason}"

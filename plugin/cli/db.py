"""assay db: the schema, built by migrations only."""

from __future__ import annotations

import typer
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from db import migrate
from plugin.cli.errors import CliError
from plugin.settings import get_settings
from plugin.wiring import required

app = typer.Typer(no_args_is_help=True, help="The database schema.")


def database_url() -> str:
    return required(get_settings(), "database_url")


@app.command()
def upgrade(revision: str = typer.Argument("head")) -> None:
    """Bring the schema to a revision (default: the newest)."""
    if not revision.strip():
        raise CliError("an empty revision: name one, or leave it out for the newest")
    try:
        migrate.upgrade(database_url(), revision)
    except OperationalError as error:
        raise CliError(f"the database at ASSAY_DATABASE_URL cannot be migrated: {error.orig}") from error
    except CommandError as error:
        raise CliError(f"{error}; the newest is {migrate.head_revision()}") from error
    typer.echo(f"schema is at {migrate.current_revision(database_url())}")


@app.command()
def current() -> None:
    """Say which revision the schema is at."""
    typer.echo(f"{migrate.current_revision(database_url()) or 'empty'} (newest: {migrate.head_revision()})")


@app.command()
def check() -> None:
    """Compare the schema with the models; exit code 1 when they differ."""
    differences = migrate.drift(database_url())
    if differences:
        raise CliError("the schema differs from the models:\n  " + "\n  ".join(differences))
    typer.echo("the schema is what the models say")

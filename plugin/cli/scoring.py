"""assay scoring: ask the workers for scores, and look at them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from db.models import ModelVersion
from db.repositories import models
from plugin.cli.errors import CliError
from plugin.cli.output import print_json, print_table, progress_bar
from plugin.services import scoring
from plugin.wiring import Wiring, get_wiring

app = typer.Typer(no_args_is_help=True, help="Scores of utterances.")

POLL_SECONDS = 0.5


@app.command()
def backfill(
    locale: Annotated[str | None, typer.Option(help="Only this locale's champion.")] = None,
    model: Annotated[str | None, typer.Option(help="A model version by name, champion or not.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until all is scored.")] = True,
    patience: Annotated[float, typer.Option(help="Seconds without any progress before giving up waiting.")] = 300.0,
) -> None:
    """Have the scoring workers score what lacks a score. What is scored already is not scored again."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        if model is not None:
            version = models.by_name(session, model)
            found = [version] if version else []
        elif locale is not None:
            version = models.champion(session, locale)
            found = [version] if version else []
        else:
            found = list({version.id: version for _, version in models.champions(session)}.values())
    if not found:
        raise CliError("no such model version: train one with `assay evaluation train --locale LOCALE`")
    for version in found:
        if not wiring.send("scoring.backfill", version.id):
            raise CliError("the broker at ASSAY_BROKER_URL does not answer; is `assay up` running?")
    if wait:
        for version in found:
            wait_for_scores(wiring, version, patience)


def wait_for_scores(wiring: Wiring, version: ModelVersion, patience: float) -> None:
    with progress_bar() as bar:
        left = total = pending(wiring, version)
        task = bar.add_task(f"scoring with {version.name}", total=total)
        last_change = time.monotonic()
        pause = POLL_SECONDS
        while left:
            time.sleep(pause)
            asked = time.monotonic()
            now_left = pending(wiring, version)
            # Of millions, counting takes seconds: leave the database its time for scoring.
            pause = max(POLL_SECONDS, 9 * (time.monotonic() - asked))
            if now_left != left:
                left, last_change = now_left, time.monotonic()
                bar.update(task, completed=total - left)
            elif time.monotonic() - last_change > patience:
                raise CliError(
                    f"{left} utterances wait and nothing was scored for {patience:.0f} s: "
                    "is worker-scoring running? See `assay status`; the work is not lost"
                )


def pending(wiring: Wiring, version: ModelVersion) -> int:
    with wiring.transaction() as session:
        return scoring.count_backlog(session, version.id)


@app.command()
def show(
    external_id: Annotated[str, typer.Argument(help="The record's own id.")],
    source: Annotated[str | None, typer.Option(help="Its stream, where several have this id.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Every score of one utterance, per model version, with each replicate's EL2N."""
    with get_wiring().transaction() as session:
        found = scoring.of_utterance(session, external_id, source)
    if not found:
        raise CliError(f"no utterance has the id {external_id!r}" + (f" in source {source!r}" if source else ""))
    if as_json:
        return print_json(found)
    names = ("source", "revision", "predicted_domain", *scoring.NUMBERS, *scoring.SHOWN_OF_VERSION)
    rows = [
        *([name.replace("_", " "), *("–" if row[name] is None else row[name] for row in found)] for name in names),
        ["el2n of each replicate", *(row["el2n_replicates"] or row["el2n_missing"] for row in found)],
    ]
    return print_table(f"scores of {external_id}", ["", *(f">{row['model_version']}" for row in found)], rows)

"""assay evaluation: train, retrain and compare, read the numbers, put it on a schedule."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import Progress as ProgressBar
from sqlalchemy.exc import SQLAlchemyError

from db.repositories import schedules as schedule_rows
from plugin.cli import evaluation_table
from plugin.cli.alarms import show_alarms, watch
from plugin.cli.errors import CliError
from plugin.cli.output import print_json, print_table, progress_bar
from plugin.services import evaluation, policies
from plugin.services.evaluation import EvaluationError, LeaseLostError
from plugin.services.ports import Progress
from plugin.settings import SettingsError
from plugin.wiring import Wiring, get_wiring

app = typer.Typer(no_args_is_help=True, help="Training, retraining, and what it brought.")
schedule = typer.Typer(no_args_is_help=True, help="When a locale is retrained and evaluated, in UTC.")
app.add_typer(schedule, name="schedule")
app.command("alarms")(show_alarms)
app.command()(watch)

Locale = Annotated[str, typer.Option(help="Such as sw-KE.")]
TestSet = Annotated[str, typer.Option(help="The partition of gold data to test on.")]
AsJson = Annotated[bool, typer.Option("--json")]


@app.command()
def train(
    locale: Locale,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    promote: Annotated[
        bool | None, typer.Option("--promote/--no-promote", help="Default: if the locale has no champion yet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train an ensemble on the locale's gold data (partition train; dev sets the temperature)."""
    wiring = get_wiring()
    with one_line_errors(), progress_bar() as bar:
        version = evaluation.train_first(
            wiring.transaction,
            make_workshop(wiring),
            locale,
            datetime.now(UTC),
            seed=seed,
            promote=promote,
            progress=show(bar, f"training {locale}"),
        )
    if version.promoted_at is not None:
        ask(wiring, "scoring.backfill", version.id)
    values = {name: getattr(version, name) for name in ("id", "name", "replicates", "el2n_epoch", "promoted_at", "uri")}
    if as_json:
        return print_json(values)
    return typer.echo(
        f"{version.name}: {version.replicates} replicates, temperature "
        + ", ".join(f"{head} {value:.2f}" for head, value in version.temperature.items())
        + ("; it is the champion now" if version.promoted_at else "; not promoted")
    )


@app.command()
def run(
    locale: Locale,
    test_set: TestSet,
    seed: Annotated[int, typer.Option(min=0, help="The first of the training seeds.")] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=50, help="How many seeds each arm is trained with; default: ASSAY_TRAINING_SEEDS."),
    ] = None,
    promote: Annotated[bool, typer.Option("--promote", help="The candidate becomes the champion.")] = False,
    enqueue: Annotated[bool, typer.Option("--enqueue", help="Leave it to the evaluation worker.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train on gold data, with what came back, and with what each strategy and random choice brought; compare them."""
    wiring = get_wiring()
    with one_line_errors(), wiring.transaction() as session:
        evaluation.check_material(session, locale, test_set)
        if not enqueue:
            evaluation.check_idle(session, locale)
        row = evaluation.create_run(
            session,
            locale,
            test_set,
            policies.resolve(session, locale),
            trigger="command",
            requested_by=getpass.getuser(),
            seed=seed,
            seeds=seeds,
            promote=promote,
            sent_at=datetime.now(UTC),
        )
    if enqueue:
        hand_over(wiring, row.id)
        return print_json({"id": row.id, "state": row.state}) if as_json else typer.echo(f"run {row.id} is queued")
    with one_line_errors(), progress_bar() as bar:
        state = evaluation.execute(observed(wiring, bar, locale), row.id).state
    if state == "done":
        spread(wiring, row.id)
    return show_run(row.id, as_json=as_json)


def observed(wiring: Wiring, bar: ProgressBar, locale: str) -> evaluation.Context:
    """Each step has a bar of its own, and says which of how many it is."""

    def observe(step: evaluation.Step) -> Progress:
        of = f" of {step.total}" if step.total > 1 else ""
        return show(bar, f"{step.number}{of}: {step.name} ({locale})")

    return evaluation.Context(wiring.transaction, make_workshop(wiring), observe=observe)


def hand_over(wiring: Wiring, run_id: int) -> None:
    if not wiring.send("evaluation.retrain", run_id):
        with wiring.transaction() as session:
            evaluation.send_again(session, [run_id])
        raise CliError(f"the broker at ASSAY_BROKER_URL does not answer; run {run_id} stays queued until it does")


def spread(wiring: Wiring, run_id: int) -> None:
    """What follows a run: its numbers into Label Studio, and new scores after a promotion."""
    evaluation.publish(wiring.transaction, lambda: wiring.label_studio, wiring.instance, run_id)
    with wiring.transaction() as session:
        promoted = evaluation.promoted_version(session, run_id)
    if promoted is not None:
        ask(wiring, "scoring.backfill", promoted)


def ask(wiring: Wiring, name: str, *args: int) -> None:
    """Without a broker, the sweeps find the work once there is one."""
    if wiring.settings.broker_url is not None:
        wiring.send(name, *args)


@app.command("list")
def list_(locale: Annotated[str | None, typer.Option()] = None, as_json: AsJson = False) -> None:
    """The latest runs."""
    with get_wiring().transaction() as session:
        rows = evaluation.list_runs(session, locale=locale)
    if as_json:
        return print_json({"runs": rows})
    columns = ("id", "locale", "test_set", "state", "progress", "trigger", "requested_by", "created_at", "error")
    told = [{**row, "progress": evaluation_table.how_far(row["progress"])} for row in rows]
    return print_table("runs", columns, [[row[name] for name in columns] for row in told])


@app.command("show")
def show_run(
    run_id: Annotated[int, typer.Argument(metavar="RUN")],
    as_json: AsJson = False,
) -> None:
    """What a run measured: baseline and candidate, overall and per domain, and what may be said of each strategy."""
    with one_line_errors(), get_wiring().transaction() as session:
        report = evaluation.run_report(session, run_id)
    if as_json:
        return print_json(report)
    return evaluation_table.print_report(report)


@app.command()
def compare(
    old: Annotated[int, typer.Argument(metavar="RUN")],
    new: Annotated[int, typer.Argument(metavar="OTHER")],
    arm: Annotated[str, typer.Option(help="An arm that both have: baseline, candidate, random or a strategy.")] = (
        evaluation.CANDIDATE
    ),
    as_json: AsJson = False,
) -> None:
    """Two runs on the frozen test sets that both have asked, paired."""
    with one_line_errors(), get_wiring().transaction() as session:
        found = evaluation.compare(session, old, new, arm)
    return print_json(found) if as_json else evaluation_table.print_comparison(found)


@app.command()
def replay(
    run_id: Annotated[int, typer.Argument(metavar="RUN")],
    train: Annotated[bool, typer.Option(help="Train every model again, not only measure again.")] = True,
    as_json: AsJson = False,
) -> None:
    """Do a finished run again, from what it froze, and say whether the same came out. Writes nothing."""
    wiring = get_wiring()
    with one_line_errors(), progress_bar() as bar:
        found = evaluation.replay(observed(wiring, bar, f"run {run_id}"), run_id, train=train)
    if as_json:
        print_json({**asdict(found), "same": found.is_same})
    elif found.is_same:
        typer.echo(f"run {run_id}: the same, to the bit ({found.trainings} trainings)")
    if not found.is_same:
        why = f" (since then: {'; '.join(found.changed)})" if found.changed else ""
        raise CliError(f"run {run_id} comes out otherwise: {'; '.join(found.differing)}{why}")


@app.command()
def cancel(run_id: Annotated[int, typer.Argument(metavar="RUN")], as_json: AsJson = False) -> None:
    """Stop a run; whoever works on it stops within half a minute. What it has trained so far is not measured."""
    with one_line_errors(), get_wiring().transaction() as session:
        evaluation.cancel(session, run_id, getpass.getuser(), datetime.now(UTC))
    return print_json({"id": run_id, "state": "cancelled"}) if as_json else typer.echo(f"run {run_id} is cancelled")


@schedule.command("set")
def set_schedule(
    name: Annotated[str, typer.Argument()],
    locale: Locale,
    test_set: TestSet,
    cron: Annotated[str, typer.Option(help="minute hour day month weekday, in UTC.")] = "0 3 * * *",
    on_drift: Annotated[
        bool | None, typer.Option("--on-drift/--no-on-drift", help="A drift alarm asks for a run too. Default: no.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make or change a schedule."""
    with one_line_errors(), get_wiring().transaction() as session:
        row = evaluation.put(
            session, name, locale=locale, test_set=test_set, cron=cron, now=datetime.now(UTC), on_drift=on_drift
        )
        values = evaluation.schedule_values(row)
    if as_json:
        return print_json(values)
    return typer.echo(f"{name}: next at {row.next_due_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")


@schedule.command("list")
def list_schedules(as_json: AsJson = False) -> None:
    """Every schedule, and when it is due next."""
    with get_wiring().transaction() as session:
        rows = evaluation.list_schedules(session)
    if as_json:
        return print_json({"schedules": rows})
    columns = ("name", "locale", "test_set", "cron", "on_drift", "enabled", "next_due_at", "last_run_at")
    return print_table("schedules", columns, [[row[name] for name in columns] for row in rows])


@schedule.command("remove")
def remove_schedule(name: Annotated[str, typer.Argument()], as_json: AsJson = False) -> None:
    """Delete a schedule; its runs stay."""
    with get_wiring().transaction() as session:
        removed = schedule_rows.remove(session, name)
    if not removed:
        raise CliError(f"no schedule is called {name!r}: see `assay evaluation schedule list`")
    return print_json({"removed": name}) if as_json else typer.echo(f"{name} is removed")


def make_workshop(wiring: Wiring) -> evaluation.Workshop:
    from plugin import wiring_ml  # torch: only where a model is trained

    return wiring_ml.workshop(wiring.settings)


def show(bar: ProgressBar, description: str) -> Progress:
    task = bar.add_task(description, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Whatever went wrong has been recorded with its run; here it is said once more."""
    try:
        yield
    except (EvaluationError, LeaseLostError) as error:
        raise CliError(str(error)) from error
    except (CliError, SettingsError, SQLAlchemyError):
        raise
    except Exception as error:
        if os.environ.get("ASSAY_DEBUG"):
            raise
        raise CliError(f"{type(error).__name__}: {error} (--debug shows where)") from error

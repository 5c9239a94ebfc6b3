"""`assay experiment`: does selection beat random choice? The experiment of arXiv 2311.16302 on data of one's own."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from plugin.cli.errors import CliError
from plugin.cli.experiment_options import check_satellites, command, cores, each_of, grid_to_json, shares, words
from plugin.cli.output import console, errors, print_json, print_table, progress_bar
from plugin.corpora.demo import demo_corpus
from plugin.corpora.folder import write_json_lines
from plugin.corpora.templates import TemplatesError
from plugin.experiment import arms, manifest, runner
from plugin.experiment.estimate import Estimate, calibrate, estimate
from plugin.experiment.grid import LABELS, POOLS, Grid, Trial
from plugin.experiment.laboratory import Laboratory, signals_of
from plugin.experiment.lock import LockedError, locked
from plugin.experiment.presets import PRESETS, Preset
from plugin.experiment.results import ResultsError
from plugin.experiment.satellites import SATELLITES, satellite_trials
from plugin.experiment.setup import DEV, TEST, Setup
from plugin.experiment.sources import SourceError, find
from plugin.experiment.workers import one_thread
from plugin.formats.record import gold_to_json

app = typer.Typer(help="Check on public data that selection beats random choice.", no_args_is_help=True)

DEMO_CORPUS = "demo.jsonl"
EXPECTED = (
    SourceError, arms.ArmError, manifest.ManifestError, ResultsError, LockedError, runner.RunError, ValueError, OSError,
)  # fmt: skip


@app.command("run")
def run(
    out: Annotated[Path, typer.Option(help="Folder of the results; a run goes on where the last one stopped.")],
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Labelled corpus, a file or a folder of them: PATH or NAME=PATH. May be repeated."),
    ] = None,
    locales: Annotated[str | None, typer.Option(help="Of the corpora, only these: sw-KE,th-TH")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"A grid by name: {', '.join(PRESETS)} (default: core; without a corpus quick, of 14 minutes)."
        ),
    ] = None,
    strategies: Annotated[str | None, typer.Option(help="Arms: random,random-2,entropy,el2n:0.2,default")] = None,
    budgets: Annotated[str | None, typer.Option(help="Per cent of the pool: 5,10,20")] = None,
    pools: Annotated[str | None, typer.Option(help=f"Of {', '.join(POOLS)}.")] = None,
    labels: Annotated[str | None, typer.Option(help=f"Of {', '.join(LABELS)}.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds 0 to N - 1: draws of trusted data and pool.")] = None,
    further_budgets: Annotated[str | None, typer.Option(help="Budgets of the arm random alone.")] = None,
    baselines: Annotated[bool | None, typer.Option(help="Also the arms nothing and everything.")] = None,
    satellites: Annotated[str | None, typer.Option(help=f"Further questions, or all: {', '.join(SATELLITES)}.")] = None,
    trusted: Annotated[int, typer.Option(min=1, help="Gold utterances to begin with.")] = 1000,
    dev: Annotated[int, typer.Option(min=1, help="Size of dev, if a corpus has none of its own.")] = 500,
    test: Annotated[int, typer.Option(min=1, help="Size of test, if a corpus has none of its own.")] = 2000,
    epochs: Annotated[int, typer.Option(min=1, help="Of the evaluated model.")] = 15,
    evaluate_on: Annotated[str, typer.Option(help=f"{TEST}, or {DEV} to choose strategies without it.")] = TEST,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")] = None,
    time_limit: Annotated[float | None, typer.Option(min=0, help="End cleanly after so many minutes.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how much there is to do, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run the grid of trials that are not in the folder yet. docs/experiment.md has the protocol."""
    team = workers or cores()
    began = time.monotonic()
    try:
        chosen = _preset(preset, corpus)
        minutes = time_limit if time_limit is not None else chosen.time_limit_minutes
        setup = Setup(trusted=trusted, dev=dev, test=test, epochs=epochs, evaluate_on=evaluate_on, device=device)
        sources = find(corpus or [str(_demo(out))], words(locales) or None)
        places = [source.place for source in sources]
        draws = range(seeds or chosen.seeds)
        further = tuple(SATELLITES) if satellites == "all" else words(satellites) or chosen.satellites
        check_satellites(words(satellites), places)
        grid = Grid(
            places=places,
            seeds=draws,
            pools=each_of(words(pools) or chosen.pools, POOLS, "pool"),
            labels=each_of(words(labels) or chosen.labels, LABELS, "labels"),
            budgets=shares(budgets) or chosen.budgets,
            arms=words(strategies) or chosen.arms,
            further_budgets=chosen.further_budgets if further_budgets is None else shares(further_budgets),
            baselines=chosen.baselines if baselines is None else baselines,
            satellites=satellite_trials(further, places, draws),
        )
        every = grid.trials()
        names = {trial.arm for trial in every}
        now = manifest.describe(setup, sources, names, _model_defaults())
        with nullcontext() if dry_run else locked(out):
            about = manifest.merge(manifest.read(out), now)
            trials = runner.left_to_do(every, out)
            laboratory = Laboratory(setup, {source.place: source for source in sources}, signals_of(names))
            expected = _estimate(laboratory, trials)
            _say(expected, len(every), team, minutes)
            if not dry_run and trials:
                if about.get("other_code"):
                    errors.print(f"The folder has trials of other code too; {manifest.NAME} notes it.")
                about["runs"].append(manifest.this_run(command(), grid_to_json(grid, further), team))
                manifest.write(out, about)
                _run(laboratory, trials, out, team, None if minutes is None else began + minutes * 60.0)
    except EXPECTED as error:
        raise CliError(str(error)) from error
    if as_json:
        left = len(runner.left_to_do(every, out))
        print_json({"trials": len(every), "left": left, "worker_seconds": round(expected.seconds)})


@app.command("report")
def report(
    directory: Annotated[Path, typer.Argument(help="Folder of the results, finished or not.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print where the report is as JSON.")] = False,
) -> None:
    """Analyse what is there: writes report.html, report.md, report.json and figures/ into the folder."""
    from plugin.experiment.report import NoDrawingError, NoResultsError, write_report  # half a second of scipy

    try:
        written = write_report(directory)
    except (NoResultsError, NoDrawingError) as error:
        raise CliError(str(error)) from error
    if as_json:
        print_json({"page": written.page, "markdown": written.markdown, "numbers": written.numbers})
    else:
        console.print(written.sentence, highlight=False, markup=False)
        errors.print(f"The report is in {written.page}.", soft_wrap=True, highlight=False, markup=False)


@app.command("model")
def model(
    corpus: Annotated[list[str], typer.Option(help="Labelled corpus of one locale: PATH or NAME=PATH.")],
    locale: Annotated[str | None, typer.Option(help="Which, of a corpus with several.")] = None,
    replicates: Annotated[int, typer.Option(min=1, help="Networks of the ensemble.")] = 5,
    bag_fraction: Annotated[float, typer.Option(help="Part of the training data that each sees.")] = 0.8,
    encoder: Annotated[str | None, typer.Option(help="Pretrained encoder beside the network; docs/model.md.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Train on so many utterances.")] = None,
    dev: Annotated[int, typer.Option(min=1, help="Size of dev, if the corpus has no partitions.")] = 500,
    test: Annotated[int, typer.Option(min=1, help="Size of test, if the corpus has no partitions.")] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Train the model on a corpus's training set and test it, to compare it with the literature's."""
    from plugin.experiment.credible import divide, measure
    from plugin.wiring_ml import TorchTrainer, parameters_of  # torch takes seconds to load: not for every command

    try:
        sources = find(corpus, (locale,) if locale else None)
        if len(sources) > 1:
            raise CliError(f"choose one with --locale: {', '.join(source.locale for source in sources)}")
        parts = divide(sources[0].read(), limit=limit, dev=dev, test=test, seed=seed)
        trainer = TorchTrainer(device, replicates, {"bag_fraction": bag_fraction, "encoder": encoder})
        with progress_bar() as progress:
            bar = progress.add_task("training", total=None)
            found = measure(
                parts, trainer, seed=seed, parameters=parameters_of,
                progress=lambda done, total: progress.update(bar, completed=done, total=total),
            )  # fmt: skip
    except EXPECTED as error:
        raise CliError(str(error)) from error
    if as_json:
        print_json({"corpus": "/".join(sources[0].place), "seed": seed, "replicates": replicates, **found})
    else:
        _say_model(found)


def _say_model(found: dict[str, Any]) -> None:
    rows = [
        (name, *(f"{100 * one[part]:.1f}" for part in ("value", "low", "high")), _per_cent(found["unseen"].get(name)))
        for name, one in found["metrics"].items()
    ]
    print_table("Of the test set, in per cent", ["metric", ">value", ">from", ">to", ">texts not in train"], rows)
    sizes, seconds = found["utterances"], found["seconds"]
    errors.print(
        f"{sizes['train']} utterances to train, {sizes['test']} to test, {found['seen_in_training']} of them with a "
        f"text of training. {found['parameters']:,} parameters; {seconds['train']} s to train, {seconds['predict']} s "
        "to predict. The interval is that of 95 %, over test utterances.",
        highlight=False,
    )


def _per_cent(one: dict[str, float] | None) -> str:
    return f"{100 * one['value']:.1f}" if one else ""


def _run(laboratory: Laboratory, trials: list[Trial], out: Path, workers: int, until: float | None) -> None:
    """`until` by `time.monotonic`: a corpus that had to be made and read counts too."""
    with progress_bar() as progress, _ending_cleanly():
        bar = progress.add_task("trials", total=len(trials))
        try:
            done = runner.run(
                laboratory, trials, out,
                workers=workers,
                time_limit_seconds=None if until is None else max(0.0, until - time.monotonic()),
                on_result=lambda _: progress.advance(bar),
            )  # fmt: skip
        except KeyboardInterrupt:
            raise CliError(f"stopped; what was done is in {out}, and the same command goes on from there") from None
    if done < len(trials):
        errors.print(f"{len(trials) - done} trials are left; the same command goes on from there.")
    errors.print(f"Results are in {out}.")


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """What `timeout`, `systemctl stop` and the like send ends a run as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone may set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _model_defaults() -> dict[str, Any]:
    with one_thread():
        from plugin.wiring_ml import model_defaults  # torch takes seconds to load: not for every command

        return model_defaults()


def _estimate(laboratory: Laboratory, trials: list[Trial]) -> Estimate:
    if not trials:
        return Estimate(0, 0, 0.0)
    with one_thread():
        speed = calibrate(laboratory)
    return estimate(trials, laboratory.setup, laboratory.sources, speed)


def _say(expected: Estimate, trials: int, workers: int, minutes: float | None) -> None:
    limit = "" if minutes is None else f"; it ends after {minutes:g} min, with what is done by then"
    errors.print(
        f"{trials} trials, {trials - expected.trainings} done before; {expected.trainings} trainings and "
        f"{expected.worlds} seed models to go: about {_duration(expected.wall_seconds(workers))} on {workers} "
        f"workers{limit}"
    )


def _duration(seconds: float) -> str:
    minutes = seconds / 60.0
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60.0:.1f} h"


def _preset(name: str | None, corpus: Sequence[str] | None) -> Preset:
    """Without a corpus there is the demo corpus alone, and `quick` is what it is for."""
    if name is not None and name not in PRESETS:
        raise CliError(f"no preset is called {name!r}; there is {', '.join(PRESETS)}")
    return PRESETS[name or ("core" if corpus else "quick")]


def _demo(out: Path) -> Path:
    """The demo corpus, made once, for a machine that has no other."""
    path = out / DEMO_CORPUS
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        try:
            write_json_lines(path, map(gold_to_json, demo_corpus()))
        except TemplatesError as error:
            raise CliError(f"{error}; or name a corpus: --corpus PATH") from error
    return path

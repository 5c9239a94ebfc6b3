"""assay demo: the main job once, each step as the command that a user would type.

A second run finds what the first one made and goes on from there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from plugin.cli.errors import CliError
from plugin.cli.output import console
from plugin.settings import load_settings

SEED = "0"
FEW_SEEDS = "1"


def demo(
    data: Annotated[
        Path | None, typer.Option(help="A labelled corpus: MASSIVE (.jsonl, .jsonl.gz) or gold records.")
    ] = None,
    locale: Annotated[str, typer.Option(help="Of the demo corpus, where no --data is given.")] = "en",
    reviews: Annotated[int, typer.Option(min=1, help="What the simulated annotator reviews.")] = 200,
    trusted: Annotated[int, typer.Option(min=1, help="Gold utterances to begin with.")] = 1000,
) -> None:
    """Start everything and show the main job: ingest, score, select, review (simulated), retrain, evaluate."""
    if data is not None and not data.is_file():
        raise CliError(f"--data {data}: there is no such file")
    folder = load_settings(with_stack_file=False).home.resolve() / "demo"
    corpus = data.resolve() if data else folder / f"corpus-{locale}.jsonl"
    pool = folder / corpus.name.split(".")[0]
    run("up", "--detach")
    if data is None and not corpus.exists():
        run("data", "demo-corpus", "--locale", locale, "--output", corpus)
    run("data", "simulate-wsl", corpus, "--output", pool, "--trusted", str(trusted), "--seed", SEED)
    about = json.loads((pool / "about.json").read_text())
    for name in about["corpus"]["locales"]:
        main_job(name, pool, f"demo-{pool.name}", reviews)
    run("status")
    run("up", "--detach")
    console.print("Stop it with `assay down`; the data stays, and the next demo goes on from there.")


def main_job(locale: str, pool: Path, source: str, reviews: int) -> None:
    gold = f"{source}-gold"
    test_set = "test"
    run("ingest", "annotations", pool / "gold-train.jsonl", "--partition", "train", "--source", gold)
    run("ingest", "annotations", pool / "gold-dev.jsonl", "--partition", "dev", "--source", gold)
    run("ingest", "annotations", pool / "gold-test.jsonl", "--partition", test_set, "--source", gold)
    if not any(model["locale"] == locale for model in ask("status")["models"]):
        run("evaluation", "train", "--locale", locale, "--seed", SEED)
    run("ingest", "utterances", pool / "pool.jsonl", "--source", source)
    run("scoring", "backfill", "--locale", locale)
    if not any(queue["locale"] == locale and queue["published"] for queue in ask("status")["queues"]):
        run("selection", "refresh", "--locale", locale)
    done = sum(queue["annotated"] for queue in ask("status")["queues"] if queue["locale"] == locale)
    if done < reviews:
        run(
            "label-studio", "simulate-annotator", pool / "truth.jsonl",
            "--locale", locale, "--count", str(reviews - done), "--seed", SEED,
        )  # fmt: skip
        run("ingest", "reconcile")
    runs = [row for row in ask("evaluation", "list")["runs"] if row["locale"] == locale and row["state"] == "done"]
    if runs:
        run("evaluation", "show", str(runs[0]["id"]))
    else:
        console.print(
            f"\nFor the demo's sake with --seeds {FEW_SEEDS}: it shows the way. Verdicts take the default.",
            highlight=False,
        )
        run("evaluation", "run", "--locale", locale, "--test-set", test_set, "--seed", SEED, "--seeds", FEW_SEEDS)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "plugin.cli", *words]


def run(*arguments: object) -> None:
    """Show the command, run it, and stop the demo where it fails."""
    words = list(map(shown, arguments))
    console.print(f"\n[bold green]$[/] [bold]assay {' '.join(words)}[/]", highlight=False)
    done = subprocess.run(command(*words), check=False)
    if done.returncode:
        raise CliError(f"`assay {' '.join(words)}` ended with exit code {done.returncode}")


def ask(*arguments: str) -> Any:
    done = subprocess.run(command(*arguments, "--json"), check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise CliError(f"`assay {' '.join(arguments)} --json` ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def shown(argument: object) -> str:
    return os.path.relpath(argument) if isinstance(argument, Path) else str(argument)

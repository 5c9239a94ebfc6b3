"""`make bench`: throughput of ingest, scoring, publishing and metrics, each beside a reference of the same run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from plugin.cli.output import console, errors
from plugin.settings import SettingsError, load_settings
from plugin.stack.part import StackError
from plugin.stack.postgres import Postgres
from tests import servers
from tests.benchmarks import data, ingest, metrics, publish, report, scoring
from tests.benchmarks.compare import Benchmark, compare
from tests.benchmarks.data import Site
from tests.servers import PostgresServer

TEMPLATE = "benchmark_template"


class Name(StrEnum):
    INGEST = "ingest"
    SCORING = "scoring"
    PUBLISH = "publish"
    METRICS = "metrics"


SIZES = {Name.INGEST: 20_000, Name.SCORING: 20_000, Name.PUBLISH: 5_000, Name.METRICS: 100_000}
BENCHMARKS: dict[Name, Callable[[Site], AbstractContextManager[Benchmark | list[Benchmark]]]] = {
    Name.INGEST: ingest.prepared,
    Name.SCORING: scoring.prepared,
    Name.PUBLISH: publish.prepared,
    Name.METRICS: metrics.prepared,
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[list[Name] | None, typer.Option(help="May be given more than once. Default: all.")] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Utterances; default: 20,000, publish 5,000, metrics 100,000.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Timed pairs; fewer than 3 say little.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="For programs, with every repetition.")] = False,
) -> None:
    """Measure throughput, each figure beside its reference. ASSAY_DEVICE and ASSAY_TORCH_THREADS apply."""
    settings = load_settings(with_stack_file=False)
    about = report.machine(settings)
    names = [name for name in Name if not only or name in only]
    with servers.scratch_folder() as folder, postgres_server(folder) as server:
        data.migrated(server, TEMPLATE)
        found = []
        for name in names:
            say(f"{name}: preparing")
            site = Site(server, TEMPLATE, folder, settings, size or SIZES[name], say)
            with BENCHMARKS[name](site) as prepared:
                benchmarks = prepared if isinstance(prepared, list) else [prepared]
                found += [compare(benchmark, repeat, say) for benchmark in benchmarks]
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(about, found, repeat), indent=2) + "\n")
    else:
        report.print_table(console, about, found, repeat)


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """With the settings of `assay up`, unlike the tests' own: what is committed has reached the disk."""
    postgres = Postgres(folder)
    with servers.running(postgres.part(), folder):
        yield PostgresServer(postgres)


def say(line: str) -> None:
    errors.print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    try:
        app()
    except (SettingsError, StackError) as error:
        say(f"error: {error}")
        sys.exit(1)

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from plugin.settings import Settings
from tests.benchmarks import data, ingest, metrics, publish, report, scoring
from tests.benchmarks.compare import Comparison, Spread, compare
from tests.benchmarks.data import Site
from tests.servers import LabelStudioServer, PostgresServer


def silence(line: str) -> None:
    pass


@dataclass
class Recorded:
    """Does nothing, and remembers in which order."""

    name: str = "nothing"
    against: str = "nothing else"
    size: int = 10
    events: list[str] = field(default_factory=list)

    @contextmanager
    def ours(self) -> Iterator[Callable[[], None]]:
        yield lambda: self.events.append("ours")

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        yield lambda: self.events.append("reference")


@pytest.fixture
def site(postgres_server: PostgresServer, _migrated_template: str, tmp_path: Path) -> Site:
    return Site(postgres_server, _migrated_template, tmp_path, Settings(torch_threads=1), 50, silence)


def test_both_are_warmed_up_and_then_take_turns_to_be_first() -> None:
    benchmark = Recorded()
    found = compare(benchmark, 3, silence)
    assert benchmark.events[:2] == ["ours", "reference"]
    assert benchmark.events[2:] == ["ours", "reference", "reference", "ours", "ours", "reference"]
    assert found.ratio.values == tuple(
        mine / its for mine, its in zip(found.ours.values, found.reference.values, strict=True)
    )


def test_a_slow_reference_may_do_a_part_of_the_work() -> None:
    @dataclass
    class Slow(Recorded):
        reference_size: int = 1

    found = compare(Slow(), 3, silence)
    assert found.size == 10
    assert found.reference.median < found.ours.median


def test_a_spread_names_the_median_and_both_ends() -> None:
    assert Spread.of([5.0, 1.0, 3.0]) == Spread(3.0, 1.0, 5.0, (5.0, 1.0, 3.0))


def test_ingest_and_its_reference_store_every_row(site: Site) -> None:
    with ingest.prepared(site) as benchmark:
        check(compare(benchmark, 1, site.say), "ingest")


def test_scoring_and_its_reference_see_every_utterance(site: Site) -> None:
    with scoring.prepared(site, trained_on=100) as benchmark:
        check(compare(benchmark, 1, site.say), "scoring")


def test_metrics_and_their_reference_agree_on_exact_match(site: Site) -> None:
    with metrics.prepared(site) as benchmark:
        assert 0 < metrics.equal(benchmark.gold, benchmark.said) < 50
        check(compare(benchmark, 1, site.say), "metrics")


@pytest.mark.label_studio
def test_publishing_and_its_reference_import_every_task(site: Site, label_studio_server: LabelStudioServer) -> None:
    with publish.prepared_on(site, label_studio_server) as benchmarks:
        for benchmark, name in zip(benchmarks, ("publish", "re-order", "publish"), strict=True):
            check(compare(benchmark, 1, site.say), name)


def check(found: Comparison, name: str) -> None:
    """That the work was done is checked by each run itself."""
    assert (found.name, found.size, len(found.ratio.values)) == (name, 50, 1)
    assert found.ratio.median > 0


def test_a_wide_table_fits_a_terminal_of_80_columns() -> None:
    ours, reference = Spread.of([123_456.0, 234_567.0]), Spread.of([1_234_567.0, 2_345_678.0])
    found = [Comparison("scoring", "forward pass", 1_000_000, ours, reference, Spread.of([0.1, 0.1]))]
    output = io.StringIO()
    about = report.machine(Settings(torch_threads=1))
    report.print_table(Console(file=output, width=80), about, found, 5)
    lines = output.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert {"123,456–234,567", "1,234,567–2,345,678", "0.100–0.100"} <= set(output.getvalue().split())
    assert json.loads(json.dumps(report.to_json(about, found, 5)))["results"][0]["size"] == 1_000_000


def test_a_log_longer_than_its_corpus_repeats_no_text() -> None:
    log = list(data.records(data.corpus(40), 100))
    assert len({record.id for record in log}) == 100
    assert len({record.text.lower() for record in log}) == 100

"""The report as a whole: one page that asks for nothing, the same words in Markdown, and the numbers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from plugin.cli.errors import CliError
from plugin.cli.main import app
from plugin.experiment.report import NoDrawingError, NoResultsError, Written, charts, write_report
from tests.unit.experiment.synthetic import World, write

EFFECTS = {"default": {"dcer": -0.12, "semer": -0.05}, "entropy": {"dcer": -0.06, "semer": 0.03}}
WORLD = World(
    arms=("random", "random-2", "entropy", "el2n-10-90", "default"),
    locales=("sw-KE", "th-TH", "is-IS"), labels=("reviewed", "weak"), effects=EFFECTS,
)  # fmt: skip
FEW = replace(WORLD, locales=("sw-KE",), seeds=(0, 1, 2), labels=("reviewed",), budgets=(10,), ends=False)
VOID = {"meta", "rect", "path", "line", "circle", "use"}


def full_rows() -> list[dict[str, Any]]:
    return [
        *WORLD.rows(),
        *replace(FEW, arms=("el2n-50-50", "el2n-hard", "k-means<&>", "entropy@equal")).rows(),
        *replace(FEW, noise=20).rows(),
        *replace(FEW, arms=("entropy", "default"), extra={"rounds": 3}).rows(),
        *replace(FEW, arms=("entropy", "default"), extra={"rounds": 5}).rows(),
        *replace(FEW, arms=("entropy",), extra={"scores_from": "th-TH"}).rows(),
        *replace(FEW, extra={"domains_half": 1}).rows(),
        *replace(FEW, extra={"domains_half": 2}).rows(),
        *replace(FEW, extra={"something": "<b>"}).rows(),
        *replace(FEW, corpus="hwu64", seeds=tuple(range(6)), effects={}).rows(),
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_report(write(tmp_path_factory.mktemp("experiment") / "out", full_rows()))


class Nesting(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def parsed(page: str) -> Nesting:
    found = Nesting()
    found.feed(page)
    return found


def test_the_page_is_well_formed_and_no_id_occurs_twice(report: Written) -> None:
    found = parsed(report.page.read_text(encoding="utf-8"))
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert {"svg", "table", "details"} <= found.seen


def test_the_page_asks_for_nothing_and_runs_nothing(report: Written) -> None:
    page = report.page.read_text(encoding="utf-8")
    assert "script" not in parsed(page).seen
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"(?:src|href)=\"(?!#)|@import|url\((?!#)", page)


def test_what_comes_from_the_results_is_escaped(report: Written) -> None:
    page = report.page.read_text(encoding="utf-8")
    assert "k-means<&>" not in page
    assert "k-means&lt;&amp;&gt;" in page
    assert "something <b>" not in page


def test_light_and_dark_are_both_there(report: Written) -> None:
    page = report.page.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in page
    assert '.figures [fill="#0067a8"]{fill:#5ab4f0}' in page
    for figure in report.figures:
        assert "prefers-color-scheme: dark" in figure.read_text(encoding="utf-8")


def test_every_figure_is_an_image_of_its_own_that_the_markdown_shows(report: Written) -> None:
    text = report.markdown.read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]+\]\((figures/[^)]+)\)", text)
    assert sorted(shown) == sorted(f"figures/{path.name}" for path in report.figures)
    assert len(report.figures) > 20
    for path in report.figures:
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314  our own file
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text") if node.text]
        assert any("%" in text for text in texts)


def test_markdown_and_page_have_the_same_sections_and_tables(report: Written) -> None:
    text, page = report.markdown.read_text(encoding="utf-8"), report.page.read_text(encoding="utf-8")
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == page.count("<h2>")
    assert len(re.findall(r"^\| ---", text, re.MULTILINE)) == page.count("<table>")


def test_every_row_of_a_markdown_table_has_all_its_cells(report: Written) -> None:
    width = 0
    for line in report.markdown.read_text(encoding="utf-8").splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and cells) or cells == width, line
        width = cells


def test_every_question_has_its_section(report: Written) -> None:
    text = report.markdown.read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert titles[0].startswith("The comparison named beforehand: reviewed labels, whole pool")
    for title in (
        "Learning curves", "Labels saved", "The paper's claim", "Entropy or EL2N?", "Locale by locale",
        "What review is worth, and what selection is", "Domain by domain", "Every metric", "What it costs",
        "Wrong labels", "Several rounds", "Transfer across locales", "Transfer across domains", "On other corpora",
        "EL2N: how much of the hardest?", "Quotas per domain", "Satellite: something", "How this was made",
    ):  # fmt: skip
        assert title in titles


def test_the_verdict_stands_on_top_of_both_and_in_the_numbers(report: Written) -> None:
    assert report.sentence.startswith("With reviewed labels and a budget of 10\u00a0% of the whole pool, default makes")
    numbers = json.loads(report.numbers.read_text(encoding="utf-8"))
    assert numbers["verdict"]["sentence"].replace("**", "") == report.sentence
    for path in (report.page, report.markdown):
        text = re.sub(r"\*\*|</?b>", "", path.read_text(encoding="utf-8"))
        assert report.sentence in text


def test_the_numbers_hold_what_is_shown(report: Written) -> None:
    numbers = json.loads(report.numbers.read_text(encoding="utf-8"))
    assert numbers["trials"] == len(full_rows())
    assert numbers["primary"]["budget"] == 0.1
    mine = [
        item["change"]["value"]
        for item in numbers["comparisons"]
        if item["setting"] == numbers["primary"] and (item["arm"], item["metric"]) == ("default", "dcer")
    ]
    assert mine == [pytest.approx(-0.12, abs=0.012)]
    assert {"curves", "saved", "by_locale", "by_domain", "satellites", "manifest"} <= set(numbers)


def test_the_command_and_the_versions_are_told_and_no_path_is(report: Written, tmp_path: Path) -> None:
    assert "assay experiment run --preset core" in report.markdown.read_text(encoding="utf-8")
    secret = {"corpora": {"massive": {"file": "/somewhere/private/sw-KE.jsonl.gz"}}}
    written = write_report(write(tmp_path / "out", FEW.rows(), secret))
    text = written.page.read_text(encoding="utf-8")
    assert "private" not in text
    assert "sw-KE.jsonl.gz" in text


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_report(write(tmp_path / name, FEW.rows())) for name in ("a", "b"))
    for one, other in zip(
        (first.page, first.markdown, first.numbers, *first.figures),
        (second.page, second.markdown, second.numbers, *second.figures),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes()


def test_a_figure_of_an_earlier_report_goes(tmp_path: Path) -> None:
    directory = write(tmp_path / "out", FEW.rows())
    (directory / "figures").mkdir()
    (directory / "figures" / "old.svg").touch()
    (directory / "figures" / "notes.txt").touch()
    written = write_report(directory)
    assert {path.name for path in (directory / "figures").iterdir()} == {
        "notes.txt", *(path.name for path in written.figures)
    }  # fmt: skip


@pytest.mark.parametrize(
    "world",
    [
        replace(FEW, arms=("random",)),
        replace(FEW, arms=("random", "entropy"), seeds=(0,)),
        replace(FEW, arms=("entropy", "default")),
        replace(FEW, seeds=tuple(range(7)), budgets=(20,), pools=("window",), labels=("weak",)),
        replace(FEW, arms=("random", "default"), extra={"rounds": 2}),
    ],
    ids=["random alone", "one seed", "no random", "another setting", "satellites only"],
)
def test_whatever_is_there_is_reported(tmp_path: Path, world: World) -> None:
    written = write_report(write(tmp_path / "out", world.rows()))
    assert parsed(written.page.read_text(encoding="utf-8")).open == []
    assert "nan" not in re.findall(r"\bnan\b", written.markdown.read_text(encoding="utf-8"), re.IGNORECASE)


def test_nothing_to_report_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(NoResultsError, match="no trial"):
        write_report(tmp_path)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(NoDrawingError, match=r"assay-label-studio\[experiment\]"):
        write_report(write(tmp_path / "out", FEW.rows()))


def test_the_command_writes_the_report_and_says_the_answer(tmp_path: Path) -> None:
    directory = write(tmp_path / "out", FEW.rows())
    done = CliRunner().invoke(app, ["experiment", "report", str(directory)])
    assert done.exit_code == 0
    assert "Too early to tell" in done.output
    as_json = CliRunner().invoke(app, ["experiment", "report", str(directory), "--json"])
    assert json.loads(as_json.stdout)["page"] == str(directory / "report.html")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["experiment", "report", str(tmp_path)])
    assert isinstance(done.exception, CliError)
    assert str(tmp_path) in str(done.exception)


def test_a_report_needs_no_torch() -> None:
    program = "import sys, plugin.experiment.report; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or "torch was loaded"


def test_charts_drawn_twice_are_the_same() -> None:
    rows = [charts.Row("entropy", -0.05, -0.08, -0.02, "−5.0 %", "#c8500a", "square")]
    assert charts.forest(rows, title="a", domain=(-0.1, 0.1)) == charts.forest(rows, title="a", domain=(-0.1, 0.1))

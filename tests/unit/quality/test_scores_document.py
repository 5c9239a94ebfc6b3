"""docs/scores.md: its examples run, and it says of every column what it is and where it comes from."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from plugin.quality import scores
from plugin.services.scoring import NUMBERS

DOCUMENT = Path(__file__).parents[3] / "docs" / "scores.md"
LINES = DOCUMENT.read_text(encoding="utf-8").splitlines()
COLUMNS_OF_THE_TABLE = 5  # column, formula, range, direction, function


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_its_examples_run() -> None:
    found = doctest.testfile(str(DOCUMENT), module_relative=False)
    assert found.attempted >= 3
    assert found.failed == 0


def test_every_column_of_the_scores_is_described_once() -> None:
    rows = [cells(line) for line in LINES if line.startswith("| `")]
    described = [row for row in rows if len(row) == COLUMNS_OF_THE_TABLE]
    assert sorted(row[0].strip("`") for row in described) == sorted(NUMBERS)
    assert all(all(row) for row in described)
    for row in described:
        name = row[-1].strip("`")
        assert hasattr(scores, name) or row[0] == "`confidence`", name


def test_every_column_has_a_source_and_an_oracle() -> None:
    start = LINES.index("| column | source | checked against | cost for 1,000 utterances |")
    table = LINES[start + 2 : LINES.index("", start)]
    sourced = {name for line in table for name in re.findall(r"`(\w+\*?)`", cells(line)[0])}
    of_tokens = {name for name in NUMBERS if name.startswith("token_entropy_")}
    assert sourced - {"token_entropy_*"} == set(NUMBERS) - of_tokens - {"confidence"}

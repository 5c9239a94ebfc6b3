"""Reading what a run left, finished or not."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugin.experiment.analysis import NoResultsError, read_results, results_from
from plugin.experiment.analysis.results import EVERYTHING, NOTHING, Pair, Setting
from tests.unit.experiment.synthetic import World, write

SETTING = Setting("massive", "whole", "reviewed", 0.0, 0.1)
SMALL = World(locales=("sw-KE",), seeds=(0, 1))


def test_every_trial_is_read_and_budgets_become_fractions(tmp_path: Path) -> None:
    rows = SMALL.rows()
    results = read_results(write(tmp_path / "out", rows))
    assert len(results.trials) == len(rows)
    assert {setting.budget for setting in results.settings} == {0.0, 0.05, 0.1, 0.2, 0.4, 1.0}
    assert results.manifest["format"] == 1
    assert (results.unreadable, results.repeated) == (0, 0)


@pytest.mark.parametrize("budget", [0.5, 1, 100])
def test_a_budget_is_in_per_cent_however_small(budget: float) -> None:
    rows = replace(SMALL, budgets=(budget,), ends=False).rows()
    assert {setting.budget for setting in results_from(rows).settings} == {budget / 100}


def test_a_half_written_line_is_counted_and_a_repeated_trial_counts_once(tmp_path: Path) -> None:
    rows = SMALL.rows()
    again = json.loads(json.dumps(rows[0]))
    again["errors"]["dcer"]["*"] = [1.0, 10.0]
    directory = write(tmp_path / "out", [*rows, again])
    with (directory / "results" / "massive.jsonl").open("a") as file:
        file.write('{"trial": {"corpus": "mass')
    results = read_results(directory)
    assert (results.unreadable, results.repeated, len(results.trials)) == (1, 1, len(rows))
    first = rows[0]["trial"]
    trial = results.trial(replace(SETTING, budget=first["budget"] / 100), first["arm"], Pair("sw-KE", 0))
    assert trial is not None
    assert trial.rate("dcer") == 0.1


@pytest.mark.parametrize(
    "damage",
    [
        lambda row: row["trial"].pop("arm"),
        lambda row: row["trial"].update(locale=None),
        lambda row: row["trial"].update(budget=float("nan")),
        lambda row: row.update(errors={}),
        lambda row: row["errors"]["dcer"].update({"*": [1.0, None]}),
        lambda row: row["errors"]["dcer"].update({"*": [1.0]}),
    ],
)
def test_a_line_that_is_no_trial_is_left_out(tmp_path: Path, damage: Any) -> None:
    rows = SMALL.rows()
    damage(rows[3])
    results = read_results(write(tmp_path / "out", rows))
    assert (results.unreadable, len(results.trials)) == (1, len(rows) - 1)


@pytest.mark.parametrize("content", [None, "", "no json\n"])
def test_no_trial_is_said_in_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "a.jsonl").write_text(content)
    with pytest.raises(NoResultsError, match="assay experiment run"):
        read_results(tmp_path)


@pytest.mark.parametrize("manifest", [None, "[]", "no json"])
def test_a_manifest_is_not_needed(tmp_path: Path, manifest: str | None) -> None:
    directory = write(tmp_path / "out", SMALL.rows())
    (directory / "manifest.json").unlink()
    if manifest is not None:
        (directory / "manifest.json").write_text(manifest)
    assert read_results(directory).manifest == {}


def test_keys_of_satellites_keep_them_out_of_the_core() -> None:
    rounds = replace(SMALL, extra={"round": 2}, ends=False).rows()
    results = results_from([*SMALL.rows(), *rounds])
    extras = {setting.extra for setting in results.settings}
    assert extras == {(), (("round", 2),)}
    assert len(results.arms(SETTING)["default"]) == 2
    assert not replace(SETTING, extra=(("round", 2),)).is_core


def test_a_key_that_every_trial_has_is_a_satellites_only_where_it_differs() -> None:
    usual = replace(SMALL, extra={"replicates": 5}).rows()
    results = results_from([*usual, *replace(SMALL, extra={"replicates": 3}, ends=False).rows()])
    assert {setting.extra for setting in results.settings} == {(), (("replicates", 3),)}


def test_the_reference_is_every_random_draw_and_a_satellite_may_use_the_cores() -> None:
    core = results_from(
        [*SMALL.rows(), *replace(SMALL, arms=("el2n-10-90",), extra={"replicates": 3}, ends=False).rows()]
    )
    pair = Pair("sw-KE", 0)
    satellite = replace(SETTING, extra=(("replicates", 3),))
    assert [trial.arm for trial in core.random_trials(SETTING, pair)] == ["random", "random-2"]
    assert core.random_trials(satellite, pair) == core.random_trials(SETTING, pair)
    cut = replace(SMALL, arms=("entropy",), extra={"scores_from": "th-TH"}, ends=False).rows()
    assert (
        results_from([*SMALL.rows(), *cut]).random_trials(replace(SETTING, extra=(("scores_from", "th-TH"),)), pair)
        == []
    )
    own = results_from([*SMALL.rows(), *replace(SMALL, extra={"replicates": 3}, ends=False).rows()])
    assert {trial.setting for trial in own.random_trials(satellite, pair)} == {satellite}


def test_with_nothing_or_everything_added_there_is_no_choice() -> None:
    results = results_from(SMALL.rows())
    pair = Pair("sw-KE", 1)
    nothing = results.random_trials(replace(SETTING, budget=NOTHING), pair)
    everything = results.random_trials(replace(SETTING, budget=EVERYTHING), pair)
    assert [trial.arm for trial in nothing] == ["nothing"]
    assert [trial.arm for trial in everything] == ["everything"]
    assert results.random_trials(replace(SETTING, budget=EVERYTHING, pool="window"), pair) == []
    assert results.random_trials(SETTING, Pair("sw-KE", 9)) == []


def test_results_may_be_compressed(tmp_path: Path) -> None:
    rows = World(locales=("sw-KE",), seeds=(0, 1), budgets=(10,)).rows()
    directory = write(tmp_path / "out", rows)
    expected = read_results(directory)
    for path in (directory / "results").glob("*.jsonl"):
        path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read_results(directory).settings == expected.settings


def test_a_compressed_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(b"{}" * 1000)[:-9])
    with pytest.raises(NoResultsError, match=r"a\.jsonl\.gz is damaged"):
        read_results(tmp_path)

"""Runs in worker processes: complete, resumable, cut off, gone wrong."""

from __future__ import annotations

import errno
import gzip
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from plugin.cli.experiment import _ending_cleanly, _preset
from plugin.cli.main import app
from plugin.experiment import manifest, results, runner
from plugin.experiment.analysis import read_results
from plugin.experiment.estimate import Estimate, Speed, estimate
from plugin.experiment.grid import Grid, Trial, trial_from_json
from plugin.experiment.laboratory import Laboratory
from plugin.experiment.lock import LockedError, locked
from plugin.experiment.presets import PRESETS
from plugin.experiment.setup import Setup
from plugin.experiment.sources import SourceError, find
from tests.unit.experiment.corpora import CORPUS, LOCALES, Killed, write_corpora
from tests.unit.experiment.corpora import laboratory as make_laboratory


def grid(laboratory: Laboratory, **parts: Any) -> Grid:
    parts = {"seeds": range(1), "budgets": [10.0], "arms": ["random", "entropy"], "baselines": False, **parts}
    return Grid(places=list(laboratory.sources), pools=["whole"], labels=["reviewed"], **parts)


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    """What does not depend on the clock or the process, by trial."""
    unclocked = ("trial", "size", "pool_size", "errors", "selected")
    return {
        trial_from_json(result["trial"]).key: {name: result[name] for name in unclocked}
        for result in results.read(folder)
    }


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return make_laboratory(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def finished(fresh: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two worlds by two workers."""
    out = tmp_path_factory.mktemp("out")
    seen: list[dict[str, Any]] = []
    done = runner.run(fresh, grid(fresh).trials(), out, workers=2, on_result=seen.append)
    assert done == len(seen) == 4
    return out


def test_a_run_is_complete(fresh: Laboratory, finished: Path) -> None:
    assert set(lines(finished)) == {trial.key for trial in grid(fresh).trials()}
    files = {path.name for path in (finished / "results").iterdir()}
    assert files == {f"{CORPUS}-{locale}-0.jsonl" for locale in LOCALES}


def test_nothing_is_run_twice(fresh: Laboratory, finished: Path) -> None:
    assert runner.left_to_do(grid(fresh).trials(), finished) == []
    grown = runner.left_to_do(grid(fresh, budgets=[10.0, 20.0]).trials(), finished)
    assert {trial.budget for trial in grown} == {20.0}
    assert len(grown) == 4


def test_what_was_half_written_is_done_again_and_gives_the_same(
    fresh: Laboratory, finished: Path, tmp_path: Path
) -> None:
    """One worker instead of two, and worlds made anew, too."""
    path = results.path_of(tmp_path, grid(fresh).trials()[0].world)
    path.parent.mkdir()
    whole, half = (finished / "results" / path.name).read_bytes().splitlines(keepends=True)
    path.write_bytes(whole + half[: len(half) // 2])
    left = runner.left_to_do(grid(fresh).trials(), tmp_path)
    assert len(left) == 3
    assert runner.run(fresh, left, tmp_path, workers=1) == 3
    assert lines(tmp_path) == lines(finished)
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_the_order_of_the_grid_is_that_of_one_worker(fresh: Laboratory, tmp_path: Path) -> None:
    trials = grid(fresh, arms=["random"]).trials()
    seen: list[dict[str, Any]] = []
    runner.run(fresh, trials, tmp_path, workers=1, on_result=seen.append)
    assert [trial_from_json(result["trial"]) for result in seen] == trials


def test_a_time_limit_ends_the_run_between_two_trainings(fresh: Laboratory, tmp_path: Path) -> None:
    assert runner.run(fresh, grid(fresh).trials(), tmp_path, workers=1, time_limit_seconds=0.0) < 4
    assert len(list(results.read(tmp_path))) < 4
    assert len(runner.left_to_do(grid(fresh).trials(), tmp_path)) > 0


def test_an_interrupted_run_keeps_what_is_done(fresh: Laboratory, tmp_path: Path) -> None:
    def interrupt(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    trials = grid(fresh, seeds=range(20)).trials()
    with pytest.raises(KeyboardInterrupt):
        runner.run(fresh, trials, tmp_path, workers=1, on_result=interrupt)
    kept = lines(tmp_path)
    assert 1 <= len(kept) < len(trials)
    assert set(kept) == {trial.key for trial in trials[: len(kept)]}


def test_a_worker_that_fails_says_why(fresh: Laboratory, tmp_path: Path) -> None:
    greedy = replace(fresh, setup=replace(fresh.setup, trusted=5000))
    with pytest.raises(runner.RunError, match="trusted part is to have 5000") as raised:
        runner.run(greedy, grid(fresh).trials(), tmp_path, workers=1)
    assert "Traceback" in str(raised.value.__cause__)


def test_a_worker_that_is_killed_is_noticed(fresh: Laboratory, tmp_path: Path) -> None:
    killed = Killed(fresh.setup, fresh.sources)
    with pytest.raises(runner.RunError, match="exit code 3"):
        runner.run(killed, grid(fresh).trials(), tmp_path, workers=1)


def test_a_worker_does_not_outlive_a_parent_that_was_killed(fresh: Laboratory, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    trials = grid(fresh, seeds=range(500)).trials()
    parent = context.Process(target=run_on_one_worker, args=(fresh, trials, tmp_path))
    parent.start()
    assert parent.pid is not None
    started = psutil.Process(parent.pid)
    try:
        wait_until(lambda: (tmp_path / results.FOLDER).exists())
        workers = started.children(recursive=True)
    finally:
        parent.kill()
        parent.join()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert workers
    assert not alive


def run_on_one_worker(laboratory: Laboratory, trials: list[Trial], folder: Path) -> None:
    runner.run(laboratory, trials, folder, workers=1)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to pass in two minutes")


def test_a_damaged_line_with_others_after_it_is_named(tmp_path: Path) -> None:
    folder = tmp_path / results.FOLDER
    folder.mkdir()
    (folder / "tiny-aa-AA-0.jsonl").write_text('{"trial": {}}\n{}\n')
    with pytest.raises(results.ResultsError, match="line 1"):
        results.done(tmp_path)


def test_compressed_results_count_as_done_and_the_run_goes_on_beside_them(
    fresh: Laboratory, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / results.FOLDER, tmp_path / results.FOLDER)
    path = results.path_of(tmp_path, grid(fresh).trials()[0].world)
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    first = json.loads(path.read_bytes().splitlines()[0])
    path.unlink()
    assert runner.left_to_do(grid(fresh).trials(), tmp_path) == []
    assert lines(tmp_path) == lines(finished)
    results.append(tmp_path, {**first, "size": 12345})
    assert path.exists()
    key = trial_from_json(first["trial"]).key
    assert lines(tmp_path)[key]["size"] == 12345
    assert {trial.size for trial in read_results(tmp_path).trials} > {12345}
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(results.ResultsError, match=r"gz is damaged"):
        results.done(tmp_path)


def test_a_write_that_fails_leaves_the_file_as_it_was(
    fresh: Laboratory, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, another = list(results.read(finished))[:2]
    results.append(tmp_path, result)
    path = results.path_of(tmp_path, trial_from_json(result["trial"]).world)
    before = path.read_bytes()

    def full(_: int) -> None:
        assert path.stat().st_size > len(before)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="a result cannot be written: No space left"):
        results.append(tmp_path, another)
    assert path.read_bytes() == before


def test_after_a_write_that_failed_nothing_is_written(
    fresh: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def full(_: Path, result: dict[str, Any]) -> None:
        tried.append(result)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results, "append", full)
    with pytest.raises(OSError, match="No space left"):
        runner.run(fresh, grid(fresh, seeds=range(20)).trials(), tmp_path, workers=2)
    assert len(tried) == 1


def test_one_run_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "out"),
        pytest.raises(LockedError, match=r"another run is writing to .*out"),
        locked(tmp_path / "out"),
    ):
        raise AssertionError("two had the lock")
    with locked(tmp_path / "out"):
        pass


# Sources


@pytest.mark.parametrize("compress", [False, True])
def test_a_corpus_is_the_same_however_it_was_compressed(tmp_path: Path, compress: bool) -> None:
    folder = write_corpora(tmp_path / "tiny", LOCALES[:1])
    (plain,) = find([str(folder)])
    path = plain.path
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    (source,) = find([str(folder)])
    assert source.place == plain.place
    assert source.sha256 != plain.sha256 == source.content_sha256 == plain.content_sha256
    # As older manifests have it: the hash of the file alone, whichever it was.
    before, now = (source, plain) if compress else (plain, source)
    old = manifest.merge(None, manifest.describe(Setup(), [before], ["random"], {}))
    assert manifest.merge(old, manifest.describe(Setup(), [now], ["random"], {}))
    for corpus in old["corpora"].values():
        del corpus["content_sha256"]
    again = manifest.merge(old, manifest.describe(Setup(), [before], ["random"], {}))
    assert again["corpora"]["tiny/aa-AA"]["content_sha256"] == plain.sha256


def test_a_folder_gives_the_locales_asked_for_in_that_order(tmp_path: Path) -> None:
    folder = write_corpora(tmp_path / "massive")
    assert [source.place for source in find([str(folder)])] == [("massive", locale) for locale in LOCALES]
    backwards = find([f"m={folder}"], LOCALES[::-1])
    assert [source.place for source in backwards] == [("m", locale) for locale in LOCALES[::-1]]
    (folder / f"{LOCALES[0]}.jsonl").write_text("not opened when only the other one is asked for")
    assert [source.locale for source in find([str(folder)], LOCALES[1:])] == [LOCALES[1]]


def test_a_source_reads_its_own_locale(tmp_path: Path) -> None:
    folder = write_corpora(tmp_path)
    both = tmp_path / "both.jsonl"
    both.write_bytes(b"".join((folder / f"{locale}.jsonl").read_bytes() for locale in LOCALES))
    for source in find([str(both)]):
        assert source.corpus == "both"
        assert {row.locale for row in source.read()} == {source.locale}
        assert len(source.read()) == source.utterances


@pytest.mark.parametrize(
    ("given", "locales", "reason"),
    [
        (["{}/nowhere"], None, "no such file"),
        (["{}"], ["xx-XX"], "no corpus has the locale xx-XX"),
        (["a={}", "a={}"], None, "both hold a/aa-AA"),
        (["{}/empty.jsonl"], None, "no corpus has a labelled utterance"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_named(
    tmp_path: Path, given: list[str], locales: list[str] | None, reason: str
) -> None:
    folder = write_corpora(tmp_path / "tiny")
    (folder / "empty.jsonl").touch()
    with pytest.raises(SourceError, match=reason):
        find([word.format(folder) for word in given], locales)


# Manifest


def about(laboratory: Laboratory, **setup: Any) -> dict[str, Any]:
    changed = replace(laboratory.setup, **setup)
    return manifest.describe(changed, list(laboratory.sources.values()), ["random", "default"], {"width": 64})


def test_a_grid_may_grow_in_its_folder(fresh: Laboratory, tmp_path: Path) -> None:
    first = manifest.merge(None, about(fresh))
    manifest.write(tmp_path, first)
    another = replace(next(iter(fresh.sources.values())), locale="cc-CC")
    more = manifest.describe(fresh.setup, [another], ["entropy"], {"width": 64, "depth": 2})
    merged = manifest.merge(manifest.read(tmp_path), more)
    assert set(merged["corpora"]) == {f"{CORPUS}/{locale}" for locale in (*LOCALES, "cc-CC")}
    assert set(merged["arms"]) == {"random", "default", "entropy"}


def other_corpus(values: dict[str, Any]) -> None:
    for name in ("sha256", "content_sha256"):
        values["corpora"][f"{CORPUS}/{LOCALES[0]}"][name] = "0" * 64


def other_default(values: dict[str, Any]) -> None:
    values["arms"]["default"]["strategy"] = "random"


def other_model(values: dict[str, Any]) -> None:
    values["model"]["width"] = 128


def other_setup(values: dict[str, Any]) -> None:
    values["setup"]["epochs"] = 99


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_corpus, "another tiny/aa-AA"),
        (other_default, "arm default"),
        (other_model, "width"),
        (other_setup, "epochs"),
    ],
)
def test_another_experiment_is_refused(
    fresh: Laboratory, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    before = json.loads(json.dumps(manifest.merge(None, about(fresh))))
    now = json.loads(json.dumps(about(fresh)))
    change(now)
    with pytest.raises(manifest.ManifestError, match=reason):
        manifest.merge(before, now)


def test_a_mix_of_code_is_noted(fresh: Laboratory) -> None:
    first = manifest.merge(None, about(fresh))
    run = manifest.this_run("assay", {}, 1)
    assert run["code"] == first["code"] == manifest.code_sha256()
    first["runs"].append(run)
    assert "other_code" not in manifest.merge(first, about(fresh))
    mixed = manifest.merge(first, {**about(fresh), "code": "another"})
    assert (mixed["code"], mixed["other_code"]) == ("another", [first["code"]])
    mixed["runs"].append(run)
    assert manifest.merge(mixed, about(fresh))["other_code"] == ["another"]
    del first["code"]
    assert manifest.merge(first, about(fresh))["other_code"] == ["unknown"]


def test_the_device_makes_no_other_experiment(fresh: Laboratory) -> None:
    assert about(fresh, device="cuda") == about(fresh)


def test_no_path_is_kept(fresh: Laboratory) -> None:
    assert str(next(iter(fresh.sources.values())).path.parent) not in json.dumps(about(fresh))


# Estimate


def test_an_estimate_is_trainings_times_seconds(fresh: Laboratory) -> None:
    setup = Setup(trusted=100, dev=1, test=1, seed_epochs=2, epochs=3)
    source = replace(next(iter(fresh.sources.values())), utterances=1102)
    trials = [Trial(*source.place, 0, "whole", "reviewed", 0.0, 10.0, arm) for arm in ("random", "entropy")]
    found = estimate(trials, setup, {source.place: source}, Speed(seed_train=5.0, seed_predict=0, train=1.0, predict=0))
    # A seed model: 100 x 2 epochs x 5 s. Two arms: (100 + 10 % of 1,000) x 3 epochs x 1 s each.
    assert found == Estimate(trainings=2, worlds=1, seconds=1000.0 + 2 * 600.0)
    assert found.wall_seconds(2) == 1100.0


def test_satellites_count_the_models_they_train(fresh: Laboratory) -> None:
    source = next(iter(fresh.sources.values()))
    speed = Speed(seed_train=1.0, seed_predict=0.0, train=0.0, predict=0.0)
    base = Trial(*source.place, 0, "whole", "reviewed", 0.0, 10.0, "entropy")

    def models(*trials: Trial) -> float:
        seconds = estimate(trials, fresh.setup, {source.place: source}, speed).seconds
        return seconds / (fresh.setup.trusted * fresh.setup.seed_epochs)

    assert models(base) == 1.0
    assert models(base, replace(base, extra=(("rounds", 3),))) == 3.0
    shared = (("replicates", 1),)
    assert models(replace(base, extra=shared), replace(base, arm="random", extra=shared)) == 2.0


# The command


def assay(*words: object) -> Any:
    return CliRunner().invoke(app, ["experiment", "run", *map(str, words)])


def test_a_dry_run_says_how_much_there_is_and_leaves_no_trace(tmp_path: Path) -> None:
    corpora = write_corpora(tmp_path / "tiny")
    out = tmp_path / "out"
    done = assay("--corpus", corpora, "--out", out, "--trusted", 30, "--seeds", 2, "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["trials"], said["left"]) == (2 * 2 * 81, 2 * 2 * 81)
    assert said["worker_seconds"] > 0
    assert not out.exists()


def test_the_command_runs_a_grid_and_goes_on_from_there(tmp_path: Path) -> None:
    words = (
        "--corpus", write_corpora(tmp_path / "tiny"), "--locales", LOCALES[0], "--out", tmp_path / "out",
        "--trusted", 30, "--seeds", 1, "--epochs", 1, "--strategies", "random,entropy", "--budgets", "10",
        "--pools", "whole", "--labels", "weak", "--further-budgets", "40", "--workers", 1, "--json",
    )  # fmt: skip
    first = assay(*words)
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["trials"] == 5
    second = assay(*words)
    assert second.exit_code == 0, second.output
    assert "5 done before" in " ".join(second.stderr.split())
    kept = manifest.read(tmp_path / "out")
    assert kept is not None
    assert len(kept["runs"]) == 1
    assert str(tmp_path) not in json.dumps(kept)
    refused = assay(*words, "--trusted", 31)
    assert refused.exit_code
    assert "trusted 30, not 31" in str(refused.exception)


def test_the_grid_is_quick_where_there_is_the_demo_corpus_alone() -> None:
    assert _preset(None, None) is PRESETS["quick"]
    assert _preset(None, ["massive"]) is PRESETS["core"]
    assert _preset("core", None) is PRESETS["core"]


def test_a_folder_that_another_run_writes_to_is_refused(tmp_path: Path) -> None:
    words = ("--corpus", write_corpora(tmp_path / "tiny"), "--out", tmp_path / "out", "--trusted", 30, "--seeds", 1)
    with locked(tmp_path / "out"):
        done = assay(*words)
    assert "another run is writing to" in str(done.exception)
    assert not (tmp_path / "out" / manifest.NAME).exists()


def test_sigterm_ends_a_run_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _ending_cleanly():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--strategies", "entropie"), "strategy 'entropie' is not one of"),
        (("--budgets", "0"), r"must lie in \(0, 100\]"),
        (("--budgets", "ten"), "per cents"),
        (("--pools", "half"), "pool 'half' is not one of"),
        (("--labels", "gold"), "labels 'gold' is not one of"),
        (("--preset", "huge"), "no preset is called 'huge'"),
        (("--satellites", "moon"), "no satellite is called 'moon'"),
        (("--locales", "xx-XX"), "no corpus has the locale"),
        (("--evaluate-on", "train"), "evaluate_on"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, words: tuple[str, str], reason: str) -> None:
    corpora = write_corpora(tmp_path / "tiny", LOCALES[:1])
    done = assay("--corpus", corpora, "--out", tmp_path / "out", "--dry-run", *words)
    assert done.exit_code
    with pytest.raises(Exception, match=reason):
        raise done.exception

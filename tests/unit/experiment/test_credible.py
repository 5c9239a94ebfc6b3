from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from plugin.cli.errors import CliError
from plugin.cli.experiment import app
from plugin.corpora.folder import write_json_lines
from plugin.corpora.split import text_key
from plugin.experiment.credible import CredibleError, Parts, divide, measure
from plugin.formats.record import gold_to_json
from plugin.quality.metrics import METRICS, count_errors
from plugin.services.ports import Scorer
from plugin.wiring_ml import TorchTrainer, parameters_of
from tests.unit.experiment.corpora import LOCALES, utterances, write_corpora

CONFIG = {"epochs": 2, "batch_size": 8, "bag_fraction": 1.0, "width": 8, "hidden": 16}
TRAINER = TorchTrainer("cpu", 1, CONFIG)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return divide(utterances(LOCALES[0]), limit=None, dev=1, test=1, seed=0)


def test_a_corpus_keeps_its_own_partitions(parts: Parts) -> None:
    rows = utterances(LOCALES[0])
    for name, part in (("train", parts.train), ("dev", parts.dev), ("test", parts.test)):
        assert part == [row for row in rows if row.partition == name]


def test_of_a_corpus_without_partitions_they_are_drawn() -> None:
    rows = utterances(LOCALES[0], partitioned=False)
    drawn = divide([*rows, replace(rows[0], id="again")], limit=None, dev=20, test=50, seed=3)
    assert (len(drawn.train), len(drawn.dev), len(drawn.test)) == (140, 20, 50)
    texts = [text_key(row.text) for part in (drawn.train, drawn.dev, drawn.test) for row in part]
    assert len(texts) == len(set(texts))
    assert drawn == divide([*rows, replace(rows[0], id="again")], limit=None, dev=20, test=50, seed=3)


def test_a_limit_draws_by_seed(parts: Parts) -> None:
    rows = utterances(LOCALES[0])
    few = [divide(rows, limit=30, dev=1, test=1, seed=seed) for seed in (0, 0, 1)]
    assert few[0] == few[1] != few[2]
    assert len({row.id for row in few[0].train} & {row.id for row in parts.train}) == 30
    assert few[0].test == parts.test


def test_what_cannot_be_divided_is_said() -> None:
    rows = utterances(LOCALES[0])
    with pytest.raises(CredibleError, match="not both train and test"):
        divide([row for row in rows if row.partition != "test"], limit=None, dev=1, test=1, seed=0)
    with pytest.raises(CredibleError, match="training utterances, not 1000"):
        divide(rows, limit=1000, dev=1, test=1, seed=0)


def test_figures_are_those_of_the_model_on_the_test_set(parts: Parts) -> None:
    found = measure(parts, TRAINER, seed=4, parameters=parameters_of)
    model = TRAINER.train(parts.train, parts.dev, seed=4)
    said = model.predict([row.text for row in parts.test], [row.locale for row in parts.test]).hypotheses
    gold = [row.label for row in parts.test]
    rates = count_errors(gold, said).rates()
    assert {name: found["metrics"][name]["value"] for name in METRICS} == pytest.approx(rates)
    right = sum(true.intent == guess.intent for true, guess in zip(gold, said, strict=True))
    accuracy = found["metrics"]["intent_accuracy"]
    assert accuracy["value"] == pytest.approx(right / len(gold))
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert found["utterances"] == {"train": len(parts.train), "dev": len(parts.dev), "test": len(parts.test)}


def test_texts_of_training_are_told_apart(parts: Parts) -> None:
    """Whatever their case; without such texts both figures are one."""
    clean = measure(parts, TRAINER, seed=0, parameters=parameters_of)
    assert clean["seen_in_training"] == 0
    assert clean["unseen"] == clean["metrics"]
    known = [replace(row, id=f"known/{row.id}", text=row.text.upper()) for row in parts.train[:5]]
    mixed = measure(replace(parts, test=[*parts.test, *known]), TRAINER, seed=0, parameters=parameters_of)
    assert mixed["seen_in_training"] == 5
    assert mixed["unseen"] == clean["metrics"]
    only = measure(replace(parts, test=parts.train[:5]), TRAINER, seed=0, parameters=parameters_of)
    assert only["unseen"] == {}


def test_parameters_are_counted(parts: Parts) -> None:
    model = TRAINER.train(parts.train, [], seed=0)
    names = {text for row in parts.train for text in row.text.split()}
    domains, hidden, width = len(model.vocabulary.domains), 16, 8
    heads = (hidden + 1) * (domains + len(model.vocabulary.intents) + 2 * (2 * len(model.vocabulary.slots) + 1))
    body = (3 * width + 1) * hidden + (2 * hidden + 2 * width + 1) * hidden
    table = parameters_of(model) - heads - body
    assert table % width == 0
    assert table // width > len(names) > 0
    twice = TRAINER.train(parts.train, [], seed=0, replicates=2)
    assert parameters_of(twice) == 2 * parameters_of(model)


def test_another_scorer_has_no_parameters_to_count() -> None:
    class Other:
        pass

    other: Scorer = Other()  # type: ignore[assignment]
    with pytest.raises(TypeError, match="Other is not an ensemble"):
        parameters_of(other)


def test_the_command(tmp_path: Path) -> None:
    folder = write_corpora(tmp_path)
    options = ["model", "--corpus", f"tiny={folder}", "--limit", "40", "--device", "cpu"]
    printed = CliRunner().invoke(app, [*options, "--locale", LOCALES[0], "--json"], catch_exceptions=False).stdout
    found = json.loads(printed)
    assert (found["corpus"], found["utterances"]["train"]) == (f"tiny/{LOCALES[0]}", 40)
    table = CliRunner().invoke(app, [*options, "--locale", LOCALES[0]], catch_exceptions=False).stdout
    shown = next(line for line in table.splitlines() if line.strip().startswith("intent_accuracy"))
    assert shown.split()[1] == f"{100 * found['metrics']['intent_accuracy']['value']:.1f}"
    with pytest.raises(CliError, match=f"choose one with --locale: {', '.join(LOCALES)}"):
        CliRunner().invoke(app, options, catch_exceptions=False)
    with pytest.raises(CliError, match="encoder must be one of"):
        CliRunner().invoke(app, [*options, "--locale", LOCALES[0], "--encoder", "bert"], catch_exceptions=False)


def test_the_command_on_a_corpus_that_is_tested_on_what_it_knows(tmp_path: Path) -> None:
    rows = [row for row in utterances(LOCALES[0]) if row.partition == "train"][:60]
    path = tmp_path / "known.jsonl"
    write_json_lines(path, map(gold_to_json, [*rows, *(replace(r, id=f"t{r.id}", partition="test") for r in rows)]))
    done = CliRunner().invoke(app, ["model", "--corpus", str(path), "--device", "cpu"], catch_exceptions=False)
    assert "60 of them with a text of training" in " ".join(done.stderr.split())

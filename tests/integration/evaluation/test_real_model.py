"""The whole way with the torch model, on data that it learns in seconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.session import TransactionMaker
from plugin import wiring_ml
from plugin.records import Policy
from plugin.services import evaluation
from plugin.settings import Settings, SettingsError
from tests.integration.evaluation.conftest import LOCALE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, replicates=2, training_seeds=1, torch_threads=1, device="cpu")


def test_a_run_with_the_real_model(transaction: TransactionMaker, settings: Settings) -> None:
    workshop = wiring_ml.workshop(settings)
    steps: dict[str, list[tuple[int, int]]] = {}
    context = evaluation.Context(
        transaction,
        workshop,
        observe=lambda step: lambda done, total: steps.setdefault(step.name, []).append((done, total)),
    )
    with transaction() as session:
        run = evaluation.create_run(session, LOCALE, "test", {"*": Policy()}, trigger="test", requested_by="me")
    evaluation.execute(context, run.id)

    with transaction() as session:
        report = evaluation.run_report(session, run.id)
    rates = {
        arm: {row["metric"]: row["value"] for row in values["metrics"] if row["domain"] == "*"}
        for arm, values in report["arms"].items()
    }
    assert rates["baseline"]["dcer"] >= 6 / 18  # it has never seen an utterance of audio
    assert rates["candidate"]["dcer"] == 0.0
    assert set(steps) == {"freeze", "train candidate 0", "train baseline 0", "evaluate"}
    assert all(calls[-1][0] == calls[-1][1] for calls in steps.values())
    assert steps["train baseline 0"] == steps["train candidate 0"]  # equally many optimiser steps
    saved = json.loads((settings.models_folder / "sw-KE-0001" / "model.json").read_text())
    assert saved["vocabulary"]["domains"] == ["audio", "music", "weather"]


def test_a_scorer_is_loaded_once_for_its_hash_and_never_for_another(
    transaction: TransactionMaker, settings: Settings
) -> None:

    version = evaluation.train_first(transaction, wiring_ml.workshop(settings), LOCALE, datetime.now(UTC))
    assert version.uri is not None
    assert version.sha256 is not None
    assert version.replicates == 2
    scorer = wiring_ml.load_scorer(Path(version.uri), version.sha256)
    assert wiring_ml.load_scorer(Path(version.uri), version.sha256) is scorer
    assert (scorer.seeds, scorer.data_hash) == (tuple(version.seeds), version.data_hash)
    with pytest.raises(ValueError, match="another model"):
        wiring_ml.load_scorer(Path(version.uri), "0" * 64)


def test_a_device_that_is_not_there_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ASSAY_DEVICE=cuda:63"):
        wiring_ml.trainer(Settings(home=tmp_path, device="cuda:63"))

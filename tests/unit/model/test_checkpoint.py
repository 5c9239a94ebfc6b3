from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plugin.model import checkpoint
from plugin.model.checkpoint import MODEL, WEIGHTS
from plugin.model.ensemble import Ensemble
from plugin.model.train import train
from plugin.records import TrainingExample
from tests.unit.model.compare import identical
from tests.unit.model.corpus import BRIEF, labelled, plain_example

TEXTS = ["play halo", "wake me up at noon", "will it rain in oslo today", "明天 🎉", ""]


@pytest.fixture(scope="module")
def other(examples: list[TrainingExample]) -> Ensemble:
    return train(examples, [], BRIEF)


@pytest.fixture
def saved(ensemble: Ensemble, tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "en-US-0001"
    ensemble.save(folder)
    return folder


def load(folder: Path, sha256: str | None = None) -> Ensemble:
    return checkpoint.load(folder, "cpu", sha256)


def test_a_loaded_ensemble_predicts_to_the_bit_as_before(ensemble: Ensemble, saved: Path) -> None:
    loaded = load(saved)
    assert identical(loaded.predict(TEXTS), ensemble.predict(TEXTS))
    for before, after in zip(ensemble.head_logits(TEXTS), loaded.head_logits(TEXTS), strict=True):
        assert np.array_equal(before, after)


def test_everything_about_an_ensemble_is_kept(ensemble: Ensemble, tmp_path: Path) -> None:
    original = replace(ensemble, temperature={"domain": 1.25, "intent": 0.1 + 0.2})
    original.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    for name in ("config", "vocabulary", "seeds", "temperature", "el2n_epoch", "data_hash"):
        assert getattr(loaded, name) == getattr(original, name), name
    assert loaded.pairs.tolist() == original.pairs.tolist()
    assert loaded.features.names == original.features.names
    for before, after in ((original.final, loaded.final), (original.early, loaded.early)):
        assert after.sizes == before.sizes
        assert after.weights.keys() == before.weights.keys()
        assert torch.equal(after.table, before.table)
        assert all(torch.equal(after.weights[name], weight) for name, weight in before.weights.items())


def test_a_checkpoint_of_before_snapshots_and_encoders_loads(ensemble: Ensemble, saved: Path) -> None:
    """The first files of version 1 lack all that was added since; that has its default."""
    description = json.loads((saved / MODEL).read_bytes())
    for name in ("snapshots", "dropout_passes", "encoder"):
        del description["config"][name]
    del description["sizes"]["sentence"]
    edit(saved, version=1, snapshot_epochs=None, config=description["config"], sizes=description["sizes"])
    loaded = load(saved)
    assert (loaded.snapshots, loaded.snapshot_epochs, loaded.encoder) == ((), (), None)
    assert loaded.config == ensemble.config
    assert identical(loaded.predict(TEXTS), ensemble.predict(TEXTS))


def test_labels_and_texts_of_any_script_are_kept(tmp_path: Path) -> None:
    corpus = [
        labelled("0", "天气", "天气/查询", "{地点}的天气", "北京"),
        plain_example("1", 'جملة "quoted" \\ back 🎉', "música ", 'a"b\\c'),
    ]
    trained = train(corpus, [], BRIEF)
    trained.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.vocabulary == trained.vocabulary
    texts = [example.text for example in corpus]
    assert identical(loaded.predict(texts), trained.predict(texts))


def test_the_hash_names_the_content(ensemble: Ensemble, other: Ensemble, tmp_path: Path) -> None:
    first = ensemble.save(tmp_path / "a")
    assert first == hashlib.sha256((tmp_path / "a" / MODEL).read_bytes()).hexdigest()
    assert load(tmp_path / "a", first).save(tmp_path / "b") == first
    warmer = replace(ensemble, temperature=ensemble.temperature | {"domain": 2.0})
    assert len({first, warmer.save(tmp_path / "c"), other.save(tmp_path / "d")}) == 3
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [MODEL, WEIGHTS]


def test_another_model_than_the_expected_is_refused(saved: Path, other: Ensemble, tmp_path: Path) -> None:
    expected = other.save(tmp_path / "other")
    with pytest.raises(ValueError, match=f"not {expected}: it is another model"):
        load(saved, expected)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def edit(folder: Path, **changes: Any) -> None:
    """Change keys of `model.json`; None removes one."""
    description = json.loads((folder / MODEL).read_bytes()) | changes
    kept = {name: value for name, value in description.items() if value is not None}
    (folder / MODEL).write_text(json.dumps(kept), "utf-8")


def foreign_weights(folder: Path) -> None:
    content = b"not tensors at all"
    (folder / WEIGHTS).write_bytes(content)
    edit(folder, weights_sha256=hashlib.sha256(content).hexdigest())


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no description": (lambda folder: (folder / MODEL).unlink(), f"{MODEL} cannot be read: No such file"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"{WEIGHTS} cannot be read: No such file"),
    "a bit of the weights": (lambda folder: flip(folder / WEIGHTS), f"{WEIGHTS} is damaged or of another model"),
    "the end of the weights": (lambda folder: truncate(folder / WEIGHTS), f"{WEIGHTS} is damaged or of another"),
    "empty weights": (lambda folder: (folder / WEIGHTS).write_bytes(b""), f"{WEIGHTS} is damaged or of another"),
    "the end of the description": (lambda folder: truncate(folder / MODEL), f"{MODEL} is damaged: it is not JSON"),
    "bytes": (lambda folder: (folder / MODEL).write_bytes(b"\xff\xfe\x00"), f"{MODEL} is damaged: it is not JSON"),
    "a list": (lambda folder: (folder / MODEL).write_text("[]"), "does not describe an ensemble"),
    "another format": (lambda folder: edit(folder, format="bert"), "does not describe an ensemble"),
    "a later version": (lambda folder: edit(folder, version=3), "has version 3; this Assay reads versions 1 and 2"),
    "no hash": (lambda folder: edit(folder, weights_sha256=None), f"{WEIGHTS} is damaged or of another"),
    "no version": (lambda folder: edit(folder, version=None), "has version None; this Assay reads versions"),
    "no snapshots": (lambda folder: edit(folder, snapshot_epochs=None), "is not a whole checkpoint: KeyError"),
    "a key is missing": (lambda folder: edit(folder, seeds=None), "is not a whole checkpoint: KeyError"),
    "an unknown setting": (lambda folder: edit(folder, config={"depth": 3}), "is not a whole checkpoint: TypeError"),
    "weights of another kind": (foreign_weights, "is not a whole checkpoint: SafetensorError"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused(saved: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(saved)
    with pytest.raises(ValueError, match=message) as caught:
        load(saved)
    assert str(saved) in str(caught.value)


def test_a_changed_description_is_refused_by_its_hash(ensemble: Ensemble, tmp_path: Path) -> None:
    expected = ensemble.save(tmp_path / "model")
    edit(tmp_path / "model", temperature={"domain": 9.0, "intent": 9.0})
    with pytest.raises(ValueError, match="it is another model"):
        load(tmp_path / "model", expected)


def test_what_is_not_there_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        load(tmp_path / "never")
    (tmp_path / "file").write_text("text")
    with pytest.raises(ValueError, match="cannot be read: Not a directory"):
        load(tmp_path / "file")


def test_saving_again_replaces_the_checkpoint(other: Ensemble, saved: Path) -> None:
    sha256 = other.save(saved)
    assert load(saved, sha256).seeds == other.seeds
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_an_empty_folder_is_taken(ensemble: Ensemble, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    load(tmp_path / "model", ensemble.save(tmp_path / "model"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.txt", "mine"), (MODEL, '{"format": "another program"}'), (MODEL, "not JSON"), (WEIGHTS, "lonely")],
)
def test_the_folder_of_somebody_else_stays_as_it_is(
    ensemble: Ensemble, tmp_path: Path, name: str, content: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match="theirs exists and is not a checkpoint: choose another folder"):
        ensemble.save(folder)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(name, content)]


def test_the_file_of_somebody_else_stays_as_it_is(ensemble: Ensemble, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file exists and is not a checkpoint"):
        ensemble.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_nobody_sees_a_half_written_checkpoint(
    ensemble: Ensemble, other: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    seen: list[tuple[int, ...] | None] = []
    flush = os.fsync

    def look_then_flush(descriptor: int) -> None:
        seen.append(load(folder).seeds if folder.exists() else None)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", look_then_flush)
    ensemble.save(folder)
    other.save(folder)
    assert seen == [None, None, ensemble.seeds, ensemble.seeds]
    assert load(folder).seeds == other.seeds


@pytest.mark.parametrize("failing_write", [1, 2])
def test_a_full_disk_leaves_what_was_there(
    ensemble: Ensemble, other: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    folder = tmp_path / "model"
    sha256 = ensemble.save(folder)
    writes = 0

    def full(descriptor: int) -> None:
        nonlocal writes
        writes += 1
        if writes == failing_write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        other.save(folder)
    writes = 0
    with pytest.raises(OSError, match="No space left"):
        other.save(tmp_path / "fresh")
    load(folder, sha256)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_rename_that_fails_puts_the_old_checkpoint_back(
    ensemble: Ensemble, other: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    sha256 = ensemble.save(folder)
    rename = Path.rename
    refused: list[Path] = []

    def refuse_once(path: Path, target: Path) -> Path:
        if target == folder and not refused:
            refused.append(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_once)
    with pytest.raises(OSError, match="Input/output error"):
        other.save(folder)
    load(folder, sha256)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

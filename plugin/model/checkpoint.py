"""Ensembles on disk: `weights.safetensors`, and `model.json` that says what they are.

`model.json` holds the SHA-256 of the weights, and the checkpoint's own SHA-256 is that of `model.json`, so one
hash covers every byte. Nothing in either file can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from plugin.model.config import TrainConfig
from plugin.model.encoder import Encoder
from plugin.model.ensemble import Ensemble
from plugin.model.features import FeatureTable
from plugin.model.network import Network, Sizes, resolve_device
from plugin.records import Vocabulary

FORMAT = "assay-ensemble"
# 1: no snapshots and no encoder at first; later ones of 1 may have them. What an older file lacks has its default.
VERSION = 2
READABLE = (1, VERSION)
WEIGHTS = "weights.safetensors"
MODEL = "model.json"


def save(ensemble: Ensemble, folder: Path) -> str:
    """Write `folder`, whole or not at all; a checkpoint that is already there is replaced.

    Returns:
        The SHA-256 of the checkpoint; the same ensemble always gives the same one.

    Raises:
        ValueError: `folder` exists and is not a checkpoint.
    """
    if folder.exists() and not _replaceable(folder):
        raise ValueError(f"{folder} exists and is not a checkpoint: choose another folder")
    weights = save_tensors(_tensors(ensemble))
    description = _description(ensemble) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    model = json.dumps(description, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        written = scratch / "new"
        written.mkdir()
        _write(written / WEIGHTS, weights)
        _write(written / MODEL, model)
        _put(written, folder, scratch / "old")
    finally:
        shutil.rmtree(scratch)
    return hashlib.sha256(model).hexdigest()


def load(folder: Path, device: str = "auto", expected_sha256: str | None = None) -> Ensemble:
    """Read what `save` wrote; the ensemble predicts to the bit as it did before.

    Raises:
        ValueError: a file is missing, damaged, of another format, or not the one of `expected_sha256`.
    """
    model = _read(folder / MODEL)
    found = hashlib.sha256(model).hexdigest()
    if expected_sha256 is not None and found != expected_sha256:
        raise ValueError(f"{folder / MODEL} has SHA-256 {found}, not {expected_sha256}: it is another model")
    description = _parse(folder / MODEL, model)
    weights = _read(folder / WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != description.get("weights_sha256"):
        raise ValueError(f"{folder / WEIGHTS} is damaged or of another model: its SHA-256 is not in {MODEL}")
    try:
        return _ensemble(description, load_tensors(weights), resolve_device(device))
    except (KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{folder} is not a whole checkpoint: {error!r}") from error


def _description(ensemble: Ensemble) -> dict[str, Any]:
    vocabulary = ensemble.vocabulary
    return {
        "format": FORMAT,
        "version": VERSION,
        "config": asdict(ensemble.config),
        "vocabulary": {
            "domains": vocabulary.domains,
            "intents": vocabulary.intents,
            "slots": vocabulary.slots,
            "intent_domains": dict(vocabulary.intent_domains),
        },
        "pairs": ensemble.pairs.tolist(),
        "sizes": asdict(ensemble.final.sizes),
        "seeds": ensemble.seeds,
        "temperature": ensemble.temperature,
        "el2n_epoch": ensemble.el2n_epoch,
        "snapshot_epochs": ensemble.snapshot_epochs,
        "data_hash": ensemble.data_hash,
        "torch": str(torch.__version__),
    }


def _tensors(ensemble: Ensemble) -> dict[str, Tensor]:
    names = json.dumps(ensemble.features.names, ensure_ascii=False).encode()
    tensors = {"features": torch.from_numpy(np.frombuffer(names, np.uint8).copy())}
    snapshots = [(_snapshot(number), network) for number, network in enumerate(ensemble.snapshots)]
    for prefix, network in (("final", ensemble.final), ("early", ensemble.early), *snapshots):
        tensors[f"{prefix}/table"] = network.table
        tensors |= {f"{prefix}/{name}": weight for name, weight in network.weights.items()}
    if ensemble.encoder is not None:
        tensors["encoder/mean"] = torch.from_numpy(ensemble.encoder.mean)
        tensors["encoder/spread"] = torch.from_numpy(ensemble.encoder.spread)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _ensemble(description: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> Ensemble:
    config = TrainConfig(**description["config"])
    vocabulary = description["vocabulary"]
    sizes = Sizes(**description["sizes"])
    if description["version"] == 1:
        description = {"snapshot_epochs": ()} | description
    epochs = tuple(description["snapshot_epochs"])
    names = json.loads(tensors["features"].numpy().tobytes())
    return Ensemble(
        config=config,
        vocabulary=Vocabulary(
            domains=tuple(vocabulary["domains"]),
            intents=tuple(vocabulary["intents"]),
            slots=tuple(vocabulary["slots"]),
            intent_domains=dict(vocabulary["intent_domains"]),
        ),
        pairs=np.asarray(description["pairs"], np.int64),
        features=FeatureTable(names, config.max_tokens),
        final=_network("final", sizes, tensors, device),
        early=_network("early", sizes, tensors, device),
        seeds=tuple(description["seeds"]),
        temperature=dict(description["temperature"]),
        el2n_epoch=description["el2n_epoch"],
        data_hash=description["data_hash"],
        snapshots=tuple(_network(_snapshot(number), sizes, tensors, device) for number in range(len(epochs))),
        snapshot_epochs=epochs,
        encoder=_encoder(config.encoder, tensors),
    )


def _encoder(name: str | None, tensors: dict[str, Tensor]) -> Encoder | None:
    """By its name alone: whether it is installed matters when it is used."""
    if name is None:
        return None
    return Encoder(name, tensors["encoder/mean"].numpy(), tensors["encoder/spread"].numpy())


def _snapshot(number: int) -> str:
    return f"snapshot{number}"


def _network(prefix: str, sizes: Sizes, tensors: dict[str, Tensor], device: torch.device) -> Network:
    named = {n.removeprefix(f"{prefix}/"): t for n, t in tensors.items() if n.startswith(f"{prefix}/")}
    table = named.pop("table")
    return Network(sizes, table, named).to(device)


def _replaceable(folder: Path) -> bool:
    """Whether `folder` is empty or holds a checkpoint, and nobody else's files."""
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        _parse(folder / MODEL, _read(folder / MODEL))
    except ValueError:
        return False
    return True


def _put(written: Path, folder: Path, aside: Path) -> None:
    """Rename `written` to `folder`; what is there goes `aside`, and comes back when that fails."""
    replaced = folder.exists()
    if replaced:
        folder.rename(aside)
    try:
        written.rename(folder)
    except OSError:
        if replaced:
            aside.rename(folder)
        raise


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        description = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it is not JSON") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(f"{path} does not describe an ensemble of Assay")
    if description.get("version") not in READABLE:
        versions = " and ".join(map(str, READABLE))
        raise ValueError(f"{path} has version {description.get('version')}; this Assay reads versions {versions}")
    return description


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

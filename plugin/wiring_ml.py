"""The only importer of `plugin.model`: gives the services their Trainer and Scorer, on the device of the settings.

Importing this module loads torch. The scoring and evaluation workers do so at start, commands when they train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from plugin.model import checkpoint
from plugin.model.config import TrainConfig
from plugin.model.encoder import ENCODERS, INSTALL, is_installed
from plugin.model.ensemble import Ensemble
from plugin.model.network import resolve_device
from plugin.model.train import train
from plugin.records import TrainingExample
from plugin.services.evaluation import Workshop
from plugin.services.ports import Progress, Scorer
from plugin.settings import Settings, SettingsError, get_settings

SCORERS_KEPT = 4


@dataclass(frozen=True)
class TorchTrainer:
    """`config` holds fields of `TrainConfig` other than its defaults, such as those that fix the schedule."""

    device: str
    replicates: int
    config: Mapping[str, Any] = field(default_factory=dict)

    def train(
        self,
        examples: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        *,
        seed: int,
        replicates: int | None = None,
        schedule_size: int | None = None,
        progress: Progress | None = None,
    ) -> Scorer:
        config = TrainConfig(seed=seed, replicates=replicates or self.replicates, device=self.device, **self.config)
        if schedule_size is not None:
            schedule = config.schedule(schedule_size)
            config = replace(config, batch_size=schedule.batch_size, steps=schedule.steps, epochs=None)
        return train(examples, dev, config, progress)


def model_defaults() -> dict[str, Any]:
    """What training does unless it is told otherwise: the experiment keeps it beside its results."""
    return asdict(TrainConfig())


def parameters_of(scorer: Scorer) -> int:
    """Numbers that training set, of all replicates; the copies at other checkpoints are not counted."""
    if not isinstance(scorer, Ensemble):
        raise TypeError(f"{type(scorer).__name__} is not an ensemble of the model room")
    return scorer.final.parameters


def trainer(settings: Settings) -> TorchTrainer:
    """Snapshots, passes and encoder belong to the models trained from now on: a model has them for all, or for none."""
    config = {
        "snapshots": settings.snapshots,
        "dropout_passes": settings.dropout_passes,
        "encoder": use_encoder(settings),
    }
    return TorchTrainer(use_device(settings), settings.replicates, config)


def workshop(settings: Settings) -> Workshop:
    made = trainer(settings)
    about = {
        "device": made.device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "snapshots": settings.snapshots,
        "dropout_passes": settings.dropout_passes,
        "encoder": settings.encoder,
    }
    return Workshop(made, load_scorer, settings.models_folder, settings.replicates, settings.training_seeds, about)


def load_scorer(folder: Path, sha256: str) -> Scorer:
    """The ensemble of these weights; the last few stay loaded in this process. Raises ValueError for other files."""
    return _load(folder, sha256)


@lru_cache(maxsize=SCORERS_KEPT)
def _load(folder: Path, sha256: str) -> Scorer:
    return checkpoint.load(folder, use_device(get_settings()), expected_sha256=sha256)


def use_encoder(settings: Settings) -> str | None:
    """The encoder of the settings, refused here and not after the training data were read."""
    name = settings.encoder
    if name is not None and name not in ENCODERS:
        raise SettingsError(f"ASSAY_ENCODER={name}: must be one of {', '.join(ENCODERS)}, or not be set")
    if name is not None and not is_installed(name):
        raise SettingsError(f"ASSAY_ENCODER={name}: it is not installed: {INSTALL}, or do not set it")
    return name


def use_device(settings: Settings) -> str:
    """Make torch follow the settings, which hold for the whole process; the name of the device for the model room."""
    if settings.torch_threads:
        torch.set_num_threads(settings.torch_threads)
    name, _, number = settings.device.partition(":")
    try:
        resolve_device(name)
        if number:
            torch.cuda.set_device(int(number))
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"ASSAY_DEVICE={settings.device}: {' '.join(str(error).split())}") from error
    return name

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from plugin.model.ensemble import Ensemble
from plugin.model.train import train
from plugin.records import TrainingExample
from tests.unit.model.corpus import SMALL, templated


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def examples() -> list[TrainingExample]:
    return templated()


@pytest.fixture(scope="session")
def ensemble(examples: list[TrainingExample]) -> Ensemble:
    return train(examples, examples, SMALL)

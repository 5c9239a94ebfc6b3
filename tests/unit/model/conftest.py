from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from plugin.model.ensemble import Ensemble
from plugin.model.train import train
from plugin.records import TrainingExample
from tests.unit.model.corpus import SMALL, templated


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Networks this small only lose time to the threads' waiting for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def examples() -> list[TrainingExample]:
    return templated()


@pytest.fixture(scope="package")
def ensemble(examples: list[TrainingExample]) -> Ensemble:
    return train(examples, examples, SMALL)

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugin.experiment.laboratory import Laboratory
from plugin.experiment.world import World
from tests.unit.experiment.corpora import KEY
from tests.unit.experiment.corpora import laboratory as make_laboratory


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """Real training, of networks that see little: shared, for nothing in it changes but its caches."""
    return make_laboratory(tmp_path_factory.mktemp("corpora"))


@pytest.fixture
def world(laboratory: Laboratory) -> World:
    return laboratory.world(KEY)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

"""The examples in the docstrings of analysis and report are run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import plugin.experiment.analysis
import plugin.experiment.report

MODULES = [
    importlib.import_module(found.name)
    for package in (plugin.experiment.analysis, plugin.experiment.report)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_run(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0

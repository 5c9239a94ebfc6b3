"""The examples in the docstrings of this room are run, and every public function has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import plugin.quality

MODULES = [
    importlib.import_module(found.name) for found in pkgutil.walk_packages(plugin.quality.__path__, "plugin.quality.")
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_run(module: ModuleType) -> None:
    outcome = doctest.testmod(module, raise_on_error=False)
    assert outcome.failed == 0


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_functions_have_an_example(module: ModuleType) -> None:
    bare = [
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_") and ">>>" not in (function.__doc__ or "")
    ]
    assert not bare

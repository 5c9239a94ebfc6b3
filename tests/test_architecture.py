"""Promises about the tree that no other tool checks. Imports themselves: import-linter, in `make check`."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys

import pytest

from tasks.app import BEAT, WORDS, app, consumed_words, route

for _word in WORDS:
    importlib.import_module(f"tasks.{_word}")

OURS = sorted(name for name in app.tasks if not name.startswith("celery."))


@pytest.mark.parametrize("name", OURS)
def test_every_celery_task_is_named_routed_and_limited(name: str) -> None:
    task = app.tasks[name]
    word = name.partition(".")[0]
    assert task.__module__ == f"tasks.{word}"
    assert route(name) == {"queue": word}
    assert 0 < (task.time_limit or app.conf.task_time_limit or 0) <= 24 * 3600
    assert Exception not in getattr(task, "autoretry_for", ())


def test_every_word_has_celery_tasks_and_every_beat_entry_is_one_of_them() -> None:
    assert {name.partition(".")[0] for name in OURS} == set(WORDS)
    assert set(BEAT) <= set(OURS)
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == set(BEAT)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["celery", "-A", "tasks", "worker", "-Q", "ingest,selection"], ("ingest", "selection")),
        (["celery", "-A", "tasks", "worker", "--queues=scoring", "-c", "1"], ("scoring",)),
        (["celery", "-A", "tasks", "worker"], WORDS),
        (["celery", "-A", "tasks", "beat"], ()),
    ],
)
def test_a_process_loads_only_the_words_it_consumes(argv: list[str], words: tuple[str, ...]) -> None:
    assert consumed_words(argv) == words


@pytest.mark.parametrize(
    "argv",
    [
        ["celery", "-A", "tasks", "beat"],
        ["celery", "-A", "tasks", "worker", "-Q", "ingest,selection"],
    ],
)
def test_beat_and_the_queue_worker_never_load_torch(argv: list[str]) -> None:
    program = (
        f"import sys; sys.argv = {argv!r}; import tasks; tasks.app.loader.import_default_modules();"
        " sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or "torch was loaded"


def test_the_commands_that_need_no_model_never_load_torch() -> None:
    program = "import sys, plugin.cli.main, plugin.web.app; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or "torch was loaded"


@pytest.mark.parametrize("room", ["db", "plugin", "tasks"])
def test_no_room_is_shadowed_by_another_distribution(room: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(room, []))
    assert owners <= {"assay-label-studio"}
    path = importlib.import_module(room).__file__
    assert path is not None
    assert "site-packages" not in path


def test_every_module_can_be_imported() -> None:
    for room in ("db", "plugin", "tasks"):
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)

"""The `assay` command and the processes of the product, as an administrator starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

WORKERS = {"worker": "ingest,selection", "worker-scoring": "scoring", "worker-evaluation": "evaluation"}


class Assay:
    """The `assay` command and our processes, in an environment of their own."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = {**os.environ, "OMP_NUM_THREADS": "1", **env}

    def __call__(self, *arguments: object, exit_code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "plugin.cli", *map(str, arguments)],
            env=self.env, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == exit_code, f"assay {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json"))

    @contextmanager
    def process(self, name: str, *command: str, is_ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**self.env, "ASSAY_READY_FILE": str(self.folder / f"{name}.ready")},
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            wait_for(f"{name} to be ready", is_ready, lambda: process.poll() is None, log)
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def worker(self, name: str) -> Any:
        command = ("celery", "-A", "tasks", "worker", "-Q", WORKERS[name], "-c", "1", "-n", f"{name}@{os.getpid()}")
        return self.process(name, *command, is_ready=(self.folder / f"{name}.ready").exists)


def wait_for(
    what: str, done: Callable[[], bool], alive: Callable[[], bool] = lambda: True, log: Path | None = None
) -> None:
    until = time.monotonic() + 120
    while not done():
        tail = log.read_text()[-2000:] if log else ""
        assert alive(), f"{what}: the process ended\n{tail}"
        assert time.monotonic() < until, f"waited 120 s for {what}\n{tail}"
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False

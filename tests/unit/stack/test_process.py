"""Parts as real, tiny processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from plugin.stack.part import Part, Port, StackError, Start
from plugin.stack.process import PartProcess, PidFile, bring_up
from plugin.stack.supervisor import stop_leftovers


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


SLEEP = python("import time; time.sleep(60)")


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path / "logs", tmp_path / "run", timeout_seconds=10)


@pytest.fixture
def sleeping(start: Start) -> Iterator[PartProcess]:
    process = bring_up(Part("sleeper", SLEEP), start)
    yield process
    process.stop()


def test_a_part_is_found_again_by_its_pid_file_and_stopped(sleeping: PartProcess) -> None:
    found = PidFile(sleeping.pid_file.path).process()
    assert found is not None
    assert sleeping.popen is not None
    assert found.pid == sleeping.popen.pid
    sleeping.stop()
    assert not found.is_running()
    assert not sleeping.pid_file.path.exists()


@pytest.mark.parametrize("content", ["", "12", "{", '{"pid": 1}', '{"pid": "x", "started": 0}'])
def test_a_pid_file_that_makes_no_sense_names_nobody(tmp_path: Path, content: str) -> None:
    path = tmp_path / "part.pid"
    path.write_text(content)
    assert PidFile(path).process() is None
    assert not PidFile(path).stop()


def test_a_recycled_pid_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "part.pid"
    PidFile(path).write(os.getpid())
    assert PidFile(path).process() is not None
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": 12345.0}))
    assert PidFile(path).process() is None
    assert not PidFile(path).stop()


def test_stopping_takes_the_descendants_along_even_those_that_will_not_listen(start: Start) -> None:
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    stubborn = f"{ignore}; print('on', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stubborn!r}])"
    process = bring_up(Part("parent", python(parent), stop_seconds=0.2), start)
    assert process.popen is not None
    while "on" not in process.log.read_text():
        time.sleep(0.02)
    (child,) = psutil.Process(process.popen.pid).children()
    process.stop()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_part_that_dies_says_which_why_and_where_its_log_is(start: Start) -> None:
    part = Part("web", python("import sys; print('no such table'); sys.exit(3)"), healthy=lambda: False)
    with pytest.raises(StackError) as error:
        bring_up(part, start)
    assert "web ended with exit code 3" in str(error.value)
    assert "no such table" in str(error.value)
    assert str(start.logs / "web.log") in str(error.value)


def test_a_program_that_is_not_there_says_so(start: Start) -> None:
    with pytest.raises(StackError, match=r"web cannot start: .*no-such-program"):
        bring_up(Part("web", ("/no-such-program",)), start)


def test_a_part_that_never_gets_healthy_is_stopped(tmp_path: Path) -> None:
    start = Start(tmp_path, tmp_path, timeout_seconds=0.3)
    with pytest.raises(StackError, match="web was not healthy after 0 s"):
        bring_up(Part("web", SLEEP, healthy=lambda: False), start)
    assert PidFile(tmp_path / "web.pid").process() is None


def test_a_ready_file_of_an_earlier_life_does_not_count(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.touch()
    start = Start(tmp_path, tmp_path, timeout_seconds=0.5)
    with pytest.raises(StackError, match="not healthy"):
        bring_up(Part("worker", SLEEP, ready_file=ready), start)
    touch = "import os, time; open(os.environ['ASSAY_READY_FILE'], 'w').close(); time.sleep(60)"
    bring_up(Part("worker", python(touch), ready_file=ready), Start(tmp_path, tmp_path)).stop()


def test_another_program_on_our_port_is_not_taken_for_ours(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = Port("127.0.0.1", other.getsockname()[1], "ASSAY_WEB_PORT")
        with pytest.raises(StackError, match="not from our web: set ASSAY_WEB_PORT"):
            bring_up(Part("web", SLEEP, port=port), start)


def test_a_command_that_runs_once_is_done_when_it_ends_well(start: Start) -> None:
    process = bring_up(Part("migrations", python("print('done')"), once=True), start)
    assert process.exit_code() == 0
    with pytest.raises(StackError, match="migrations ended with exit code 1"):
        bring_up(Part("migrations", python("raise SystemExit(1)"), once=True), start)


def test_a_start_can_be_called_off(tmp_path: Path) -> None:
    start = Start(tmp_path, tmp_path, cancelled=lambda: True)
    with pytest.raises(StackError, match="was stopped while it started"):
        bring_up(Part("web", SLEEP, healthy=lambda: False), start)


def test_low_priority_is_given_to_the_process_itself(start: Start) -> None:
    process = bring_up(Part("worker-evaluation", SLEEP, niceness=7), start)
    assert process.popen is not None
    try:
        deadline = time.monotonic() + 5
        while psutil.Process(process.popen.pid).nice() < 7 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert psutil.Process(process.popen.pid).nice() >= 7
    finally:
        process.stop()


def test_leftovers_are_stopped_youngest_first(tmp_path: Path) -> None:
    started = []
    for name in ("postgres", "web"):
        started.append(subprocess.Popen(SLEEP, start_new_session=True))
        PidFile(tmp_path / f"{name}.pid").write(started[-1].pid, signal.SIGINT)
        time.sleep(0.05)
    (tmp_path / "beat.pid").write_text("stale")
    assert stop_leftovers(tmp_path) == ["web", "postgres"]
    assert list(tmp_path.iterdir()) == []
    for popen in started:
        popen.wait(5)

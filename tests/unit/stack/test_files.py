from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from plugin.stack.files import LONGEST_SOCKET_FOLDER, Home, make_private_folder, socket_folder, write_private
from plugin.stack.part import StackError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    secret = Home(tmp_path).secret("redis_password")
    assert len(secret) >= 32
    assert Home(tmp_path).secret("redis_password") == secret
    assert Home(tmp_path).secret("other") != secret
    assert mode(tmp_path / "secrets.json") == 0o600


def test_a_private_file_stays_private_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "stack.env"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_socket_path_is_short_however_long_the_home_is(tmp_path: Path) -> None:
    short = Path("/srv/assay")
    assert socket_folder(short) == short / "sockets"
    long = tmp_path / ("deep" * 40)
    assert len(os.fsencode(socket_folder(long))) <= LONGEST_SOCKET_FOLDER
    assert socket_folder(long) == socket_folder(long)
    assert socket_folder(long) != socket_folder(long / "other")


def test_a_folder_that_was_planted_is_refused(tmp_path: Path) -> None:
    planted = tmp_path / "sockets"
    planted.symlink_to(tmp_path)
    with pytest.raises(StackError, match="belongs to somebody else"):
        make_private_folder(planted, os.getuid())
    made = tmp_path / "made"
    make_private_folder(made, os.getuid())
    assert mode(made) == 0o700

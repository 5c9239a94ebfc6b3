from __future__ import annotations

from pathlib import Path

import pytest

from plugin.cli import stack
from plugin.cli.errors import CliError


def test_a_home_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "taken"))
    monkeypatch.setattr(stack, "_interrupt_on_signals", lambda: None)
    with pytest.raises(CliError, match=rf"^ASSAY_HOME .*taken cannot be used: .*{tmp_path}/taken") as caught:
        stack.up(detach=True)
    assert "\n" not in str(caught.value)

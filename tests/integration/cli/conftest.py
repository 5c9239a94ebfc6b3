from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from plugin.cli import main
from plugin.settings import get_settings
from plugin.wiring import get_wiring

Refused = Callable[..., str]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, clean_database_url: str) -> Iterator[None]:
    """A database of the test's own, given by the environment as to any process."""
    monkeypatch.setenv("ASSAY_DATABASE_URL", clean_database_url)
    get_settings.cache_clear()
    get_wiring.cache_clear()
    yield
    get_wiring().close()
    get_wiring.cache_clear()
    get_settings.cache_clear()


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line on standard error with which `assay` ends."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["assay", *arguments])
        with pytest.raises(SystemExit) as caught:
            main.run()
        said = capsys.readouterr().err
        assert caught.value.code == 1
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        return said.removeprefix("error: ").strip()

    return run

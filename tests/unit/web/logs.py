from __future__ import annotations

import logging

import pytest


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that a test has logged so far, tracebacks too; `caplog.text` forgets it before the fixtures end."""
    formatter = logging.Formatter()
    records = [record for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]
    return "\n".join(formatter.format(record) for record in records)

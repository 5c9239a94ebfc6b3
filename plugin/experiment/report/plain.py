"""The analysis as plain values for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from plugin.experiment.analysis import Analysis
from plugin.experiment.analysis.results import Setting
from plugin.experiment.report.document import Verdict

FORMAT = 1


def numbers(analysis: Analysis, verdict: Verdict) -> dict[str, Any]:
    """Every number of the report; what is not defined or not finite is null."""
    shown = {field.name: getattr(analysis, field.name) for field in fields(analysis) if field.name != "results"}
    curves = [
        {"setting": _plain(setting), "metric": metric, **_plain(curve)}
        for (setting, metric), curve in shown.pop("curves").items()
    ]
    return {
        "format": FORMAT,
        "verdict": _plain(verdict),
        "trials": len(analysis.results.trials),
        "unreadable": analysis.results.unreadable,
        "repeated": analysis.results.repeated,
        "manifest": analysis.results.manifest,
        **{name: _plain(value) for name, value in shown.items()},
        "curves": curves,
    }


def _plain(value: Any) -> Any:
    match value:
        case Setting():
            return {**asdict(value), "extra": dict(value.extra)}
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case Sequence():
            return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value

"""All checks, one after the other. Each stands for itself: one that breaks off is a finding, and the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from plugin.label_studio.errors import LabelStudioError
from plugin.services.doctor.findings import Finding
from plugin.services.doctor.patient import CHECKS, Check, Patient


@dataclass
class Report:
    """`left_out`: check -> what it stands on and is not there."""

    findings: list[Finding] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        return not self.findings and not self.left_out

    def to_json(self) -> dict[str, Any]:
        return {
            "healthy": self.is_healthy,
            "findings": [finding.to_json() for finding in self.findings],
            "checked": self.done,
            "left_out": [{"check": name, "needs": needs} for name, needs in self.left_out.items()],
        }


def examine(patient: Patient, checks: Sequence[Check] = CHECKS, *, reraise: bool = False) -> Report:
    """`reraise`: show where a check breaks off, and end there."""
    report, there = Report(), set[str]()
    for one in checks:
        lacking = sorted(one.needs - there)
        if lacking:
            report.left_out[one.name] = lacking
            continue
        found = run(one, patient, reraise=reraise)
        report.findings += found
        report.done.append(one.name)
        if one.gives is not None and not {finding.name for finding in found} & {*one.fatal, "check-failed"}:
            there.add(one.gives)
    return report


def run(one: Check, patient: Patient, *, reraise: bool) -> list[Finding]:
    found: list[Finding] = []
    try:
        for finding in one.run(patient):
            found.append(finding)  # noqa: PERF402  # what was found before it breaks off counts
    except Exception as error:
        if reraise:
            raise
        # The words of other errors may hold an address with a password.
        words = str(error) if isinstance(error, LabelStudioError) else type(error).__name__
        found.append(Finding("check-failed", f"The check of {one.name} broke off: {words}."))
    return found


def mend(report: Report) -> tuple[list[Finding], list[tuple[Finding, str]]]:
    """Put right what can be: what was, and what was not, with the reason."""
    mended: list[Finding] = []
    failed: list[tuple[Finding, str]] = []
    for finding in report.findings:
        if finding.put_right is None:
            continue
        try:
            finding.put_right()
        except (LabelStudioError, LookupError) as error:
            failed.append((finding, str(error)))
        else:
            mended.append(finding)
    return mended, failed

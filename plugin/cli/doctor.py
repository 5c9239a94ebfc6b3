"""assay label-studio doctor: what is wrong, why it matters, and the mend."""

from __future__ import annotations

import os
from collections import Counter
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from db import migrate
from plugin.cli.output import console, print_json
from plugin.services.doctor import Finding, Patient, Report, Severity, examine, mend
from plugin.settings import Settings, get_settings, load_settings
from plugin.stack import control
from plugin.wiring import Wiring, get_wiring, required

# A doctor does not wait for minutes where a bulk import would.
PATIENCE_SECONDS = 30.0
# Of plugin.label_studio.client.SdkLabelStudio, whose import takes a second.
LOCK_TTL_SECONDS = 3600.0
COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json")] = False,
    put_right: Annotated[
        bool, typer.Option("--mend", help="Put right what Assay itself can, then look again.")
    ] = False,
) -> None:
    """Find what keeps queues from being served as planned, and say how to mend it. Exit code 1: something was found."""
    wiring = Wiring(get_settings().model_copy(update={"label_studio_timeout_seconds": PATIENCE_SECONDS}))
    try:
        report = look(wiring)
        if put_right and any(finding.put_right for finding in report.findings):
            tell_mended(*mend(report), quiet=as_json)
            report = look(wiring)
    finally:
        wiring.close()
    if as_json:
        print_json(report.to_json())
    else:
        show(report)
    if not report.is_healthy:
        raise typer.Exit(1)


def look(wiring: Wiring) -> Report:
    return examine(patient_of(wiring), reraise=bool(os.environ.get("ASSAY_DEBUG")))


def patient_of(wiring: Wiring) -> Patient:
    settings = wiring.settings
    return Patient(
        instance=wiring.instance,
        url=settings.label_studio_url,
        token=settings.label_studio_token.get_secret_value() if settings.label_studio_token else None,
        webhook=wiring.webhook,
        lock_ttl_s=LOCK_TTL_SECONDS,
        transaction=lambda: wiring.transaction,
        revisions=lambda: revisions(settings),
        consumers=wiring.consumers,
        connect=lambda: wiring.label_studio,
        trial=lambda: wiring.trial(anew=True),
        publish=lambda queue_id: get_wiring().publish(queue_id, wait=True),
        watch=lambda project_id: wiring.watch(project_id, force=True),
        parts=control.parts(load_settings(with_stack_file=False)),
    )


def revisions(settings: Settings) -> tuple[str | None, str]:
    return migrate.current_revision(required(settings, "database_url")), migrate.head_revision()


def tell_mended(mended: list[Finding], failed: list[tuple[Finding, str]], *, quiet: bool) -> None:
    if quiet:
        return
    for finding in mended:
        console.print(f"[green]mended[/] {finding.name}: {escape(finding.what)}", highlight=False)
    for finding, reason in failed:
        console.print(f"[red]not mended[/] {finding.name}: {escape(reason)}", highlight=False)


def show(report: Report) -> None:
    for finding in sorted(report.findings, key=lambda finding: list(Severity).index(finding.kind.severity)):
        kind = finding.kind
        console.print(f"[{COLOURS[kind.severity]}]{kind.severity}[/] [bold]{finding.name}[/]", highlight=False)
        lines = Table.grid(padding=(0, 1, 0, 2))
        for label, words in (("what", finding.what), ("why", kind.why), ("mend", kind.mend)):
            lines.add_row(label, escape(words))
        console.print(lines, highlight=False)
    if report.left_out:
        lacking = ", ".join(sorted({need for needs in report.left_out.values() for need in needs}))
        console.print(f"not checked for want of {lacking}: {', '.join(report.left_out)}", highlight=False, markup=False)
    console.print(summary(report), highlight=False)


def summary(report: Report) -> str:
    if report.is_healthy:
        return f"[green]healthy[/]: {len(report.done)} checks found nothing"
    counts = Counter(finding.kind.severity for finding in report.findings)
    found = ", ".join(f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}" for severity in counts)
    can = sum(finding.put_right is not None for finding in report.findings)
    return found + (f"; `assay label-studio doctor --mend` mends {can} of them" if can else "")

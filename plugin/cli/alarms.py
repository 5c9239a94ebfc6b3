"""assay evaluation alarms, watch: what has drifted, and looking for it now."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import Annotated, Any

import typer

from db.repositories import models
from plugin.cli.errors import CliError
from plugin.cli.output import console, print_json, print_table, progress_bar
from plugin.services import drift
from plugin.wiring import get_wiring

Locale = Annotated[str | None, typer.Option(help="Such as sw-KE; default: all.")]
AsJson = Annotated[bool, typer.Option("--json")]


def show_alarms(
    locale: Locale = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """What has drifted: scores, domains, how well scores find errors, accept rates, calibration."""
    with get_wiring().transaction() as session:
        found = drift.list_alarms(session, locale=locale, only_open=not every)
        looks = drift.list_looks(session, locale)
    if as_json:
        return print_json(
            {"alarms": found, "looks": [{"locale": row["locale"], "at": row["looked_at"]} for row in looks]}
        )
    columns = ("id", "kind", "locale", "domain", ">value", ">from", "since", "until", "what")
    print_table("alarms", columns, [row_of(alarm) for alarm in found])
    for row in looks:
        console.print(f"{row['locale']} was last looked at on {row['looked_at'].astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    if not looks:
        console.print("no locale has been looked at: `assay evaluation watch` does it now, workers now and then")
    return None


def watch(locale: Locale = None, as_json: AsJson = False) -> None:
    """Look for drift now, and show all that was looked at; workers do so by themselves."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        known = [name for name, _ in models.champions(session)]
    chosen = [name for name in known if locale in (None, name)]
    if not chosen:
        raise CliError(f"no model is promoted for {locale or 'any locale'}: there is nothing to look at yet")
    looks = []
    with progress_bar() as bar:
        for name in bar.track(chosen, description="looking for drift"):
            found = wiring.look_for_drift(name, wait=True)
            if found is not None:
                looks.append(found)
    wiring.send_alarms()
    if as_json:
        return print_json({"looks": [asdict(look) for look in looks]})
    for look in looks:
        rows = [
            [one.kind, one.domain, one.state, one.value, one.threshold, f"{one.p:.2g}", one.sentence]
            for one in look.seen
        ]
        print_table(f"drift in {look.locale}", ("kind", "domain", "state", ">value", ">from", ">p", "what"), rows)
        if look.runs:
            console.print(f"retraining was asked for: run {', '.join(map(str, look.runs))}")
    return None


def row_of(alarm: dict[str, Any]) -> list[Any]:
    times = [alarm[name] and f"{alarm[name].astimezone(UTC):%Y-%m-%d %H:%M}" for name in ("raised_at", "resolved_at")]
    names = ("id", "kind", "locale", "domain", "value", "threshold")
    return [*(alarm[name] for name in names), *times, alarm["sentence"]]


def alarm_said(alarm: dict[str, Any]) -> str:
    """In one line."""
    return f"{alarm['id']} ({alarm['locale']}), since {alarm['raised_at']:%Y-%m-%d %H:%M}: {alarm['sentence']}"

"""assay status: counts, queues, what runs and what lags."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from sqlalchemy.exc import OperationalError

from plugin.cli.agreement import said
from plugin.cli.alarms import alarm_said
from plugin.cli.output import console, print_json, print_table
from plugin.label_studio.opinions import TITLES
from plugin.services.status import status as read_status
from plugin.settings import get_settings, load_settings
from plugin.stack import control
from plugin.wiring import get_wiring


def status(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """How many utterances are ingested, scored, queued and annotated; what runs; what lags."""
    parts = [{"name": name, "state": state} for name, state in control.parts(load_settings(with_stack_file=False))]
    found = {**everything(), "parts": parts}
    if as_json:
        return print_json(found)
    return show(found)


def everything() -> dict[str, Any]:
    if get_settings().database_url is None:
        return {
            "utterances": {"ingested": 0, "scored": 0, "by_locale": {}},
            "queues": [],
            "error": f"nothing was started in {get_settings().home.resolve()} (ASSAY_HOME)",
        }
    try:
        with get_wiring().transaction() as session:
            found = read_status(session, datetime.now(UTC))
    except OperationalError as error:
        reason = str(error.orig).splitlines()[0]
        return {
            "utterances": {"ingested": 0, "scored": 0, "by_locale": {}},
            "queues": [],
            "error": f"no database: {reason}",
        }
    for queue in found["queues"]:
        queue["url"] = queue_url(queue["project_id"])
    return found


def queue_url(project_id: int | None) -> str | None:
    base = get_settings().label_studio_url
    return None if base is None or project_id is None else f"{base.rstrip('/')}/projects/{project_id}"


def show(found: dict[str, Any]) -> None:
    if found["parts"]:
        print_table("parts", ["part", "state"], [[part["name"], part["state"]] for part in found["parts"]])
    if "error" in found:
        console.print(f"[yellow]{escape(found['error'])}[/]; `assay up` starts everything")
        return
    unscored = {line["locale"]: line["unscored"] for line in found["models"]}
    champions = {line["locale"]: line["champion"] for line in found["models"]}
    print_table(
        "utterances",
        ["locale", ">ingested", ">scored", "champion", ">unscored by it"],
        [
            [locale, f"{row['ingested']:,}", f"{row['scored']:,}", champions.get(locale, "none"), unscored.get(locale)]
            for locale, row in found["utterances"]["by_locale"].items()
        ],
    )
    print_table(
        "review queues",
        ["locale", "domain", ">items", ">done", ">age", "open"],
        [
            [queue["locale"], name_of(queue), queue["published"], queue["annotated"], published(queue), queue["url"]]
            for queue in found["queues"]
        ],
    )
    for line in found.get("ages", ()):
        console.print(f"queues of {line['locale']}: {line['said']}", markup=False)
    reviews = ", ".join(f"{count} {verdict}" for verdict, count in found["annotations"].items())
    console.print(f"reviews: {reviews}")
    for line in found.get("waiting", ()):
        console.print(said(line), markup=False)
    for line in found.get("accepted", ()):
        console.print(accepted(line), markup=False)
    gold = ", ".join(f"{size:,} {name}" for name, size in found["gold"].items()) or "none"
    console.print(f"gold: {gold}", markup=False)
    for run in found["runs"]:
        console.print(
            f"run {run['id']} ({run['locale']}): {run['state']}" + (f": {run['error']}" if run["error"] else ""),
            markup=False,
        )
    for alarm in found.get("alarms", ()):
        console.print(f"[red]alarm[/] {escape(alarm_said(alarm))}")
    if found["lags"]["unhandled_webhooks"]:
        console.print(f"[yellow]{found['lags']['unhandled_webhooks']} webhooks wait to be handled[/]")


def accepted(line: dict[str, Any]) -> str:
    """The bias of what is filled in, in one line."""
    shown = " and ".join(
        f"{line[kind]['value']:.0%} of {line[kind]['n']:,} {title}"
        for kind, title in (("prefilled", "filled in"), ("blind", "shown blind"))
    )
    gap = line["difference"]
    points = f"{100 * gap['value']:+.0f} points [{100 * gap['ci_low']:+.0f}, {100 * gap['ci_high']:+.0f}]"
    return f"accepted ({line['locale']}): {shown}: {points} by filling in, 95 % interval"


def name_of(queue: dict[str, Any]) -> str:
    return TITLES.get(queue["kind"], queue["domain"])


def published(queue: dict[str, Any]) -> str:
    if queue.get("behind_s") is not None:
        return f"behind for {age(queue['behind_s'])}"
    if queue["waits_for_publishing"]:
        return "waits"
    return "never" if queue["age_s"] is None else age(queue["age_s"])


def age(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"

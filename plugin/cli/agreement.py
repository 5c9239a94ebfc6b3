"""assay selection agreement: how far people agree."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from plugin.cli.output import console, print_json, print_table
from plugin.services import agreement
from plugin.wiring import get_wiring

COLUMNS = ("of", ">pairs", ">all the same", ">domain", ">intent", ">slot F1")


def show_agreement(
    locale: Annotated[str | None, typer.Option(help="One locale; all without it.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """How far the annotators of the same utterances agree: overall, per domain and per annotator, with intervals."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        found = agreement.report(session, wiring.instance, locale)
        waiting = [line for line in agreement.waiting(session, wiring.instance) if locale in (None, line["locale"])]
    if as_json:
        return print_json({"locales": found, "waiting": waiting})
    if not found:
        console.print("no utterance has two independent answers yet: see overlap_share in `assay policy show`")
    for block in found:
        print_locale(block)
    for line in waiting:
        console.print(said(line), markup=False)
    return None


def print_locale(block: dict[str, Any]) -> None:
    locale = block["locale"]
    shown = [("all", block["overall"]), ("filled in", block["filled_in"]), ("shown blind", block["blind"])]
    groups = [*shown, *((f"domain {name}", measures) for name, measures in block["domains"].items())]
    rows = [row(name, measures) for name, measures in groups if measures["pairs"]]
    print_table(
        f"{locale}: two people of the same utterances; domain and intent as Krippendorff's alpha", COLUMNS, rows
    )
    people = [[*row(name, found), cell(found["upheld"])] for name, found in block["annotators"].items()]
    print_table(
        f"{locale}: each person and the others; domain and intent as Cohen's kappa", (*COLUMNS, ">upheld"), people
    )
    console.print(f"{block['differ']} differ, {block['adjudicated']} of these are adjudicated")


def row(name: str, found: dict[str, Any]) -> list[str]:
    parts = [cell(found[part]) for part in ("whole", "domain", "intent", "slots")]
    return [name, str(found["pairs"]), *parts]


def cell(value: dict[str, Any]) -> str:
    """`0.82 [0.70, 0.91]`"""
    if value["value"] is None:
        return ""
    if value["ci_low"] is None or value["ci_high"] is None:
        return f"{value['value']:.2f}"
    return f"{value['value']:.2f} [{value['ci_low']:.2f}, {value['ci_high']:.2f}]"


def said(line: dict[str, Any]) -> str:
    """Why something waits, in a sentence."""
    tasks, who = line["tasks"], line["annotator"]
    count = f"{tasks} task" if tasks == 1 else f"{tasks} tasks"
    if line["why"] == "skipped":
        return f"{line['locale']}: {count} that {who} keeps skipping: somebody else is to look at them"
    return f"{line['locale']}: {count} for a second opinion of somebody other than {who}, who alone has worked on it"

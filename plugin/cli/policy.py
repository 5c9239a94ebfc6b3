"""assay policy: what a locale's rounds choose, and how much."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from db.repositories import policies as rows
from db.repositories import selections
from plugin.cli.errors import CliError
from plugin.cli.output import console, print_json, print_table
from plugin.cli.selection import why_said
from plugin.records import Allocation, Strategy
from plugin.services import policies
from plugin.services.bandits import played
from plugin.services.policies import ANY
from plugin.wiring import get_wiring

app = typer.Typer(no_args_is_help=True, help="Selection policies per locale and domain.")

Locale = Annotated[str, typer.Option(help="Locale, or * for all.")]
Domain = Annotated[str, typer.Option(help="Domain, or * for all.")]


@app.command()
def show(locale: Locale = ANY, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The policies that hold for a locale, inheritance resolved."""
    with one_line_errors(), get_wiring().transaction() as session:
        policies.check_scope(session, locale, ANY)
        resolved = {domain: policies.to_json(policy) for domain, policy in policies.resolve(session, locale).items()}
        current = selections.current(session, locale)
    asked = any(values["strategy"] == Strategy.AUTO for values in resolved.values())
    chosen = played(current) if asked and current is not None else {}  # `auto` alone does not say what it comes down to
    if as_json:
        return print_json({domain: with_played(domain, values, chosen) for domain, values in resolved.items()})
    names = list(next(iter(resolved.values())))
    table = [[name, *(values[name] for values in resolved.values())] for name in names]
    print_table(f"policy of {locale}", ["setting", *resolved], table)
    for domain, said in chosen.items():
        console.print(why_said(domain, said), markup=False)
    return None


def with_played(domain: str, values: dict[str, Any], chosen: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What the current round plays, and why: of `*` in every domain that has no policy of its own."""
    if values["strategy"] != Strategy.AUTO:
        return values
    return values | {
        "played": chosen if domain == ANY else {name: said for name, said in chosen.items() if name == domain}
    }


@app.command("set")
def set_(
    locale: Locale = ANY,
    domain: Domain = ANY,
    preset: Annotated[str | None, typer.Option(help="Start from a preset: paper.")] = None,
    strategy: Annotated[
        Strategy | None, typer.Option(metavar="STRATEGY", help=f"{', '.join(Strategy)}: see docs/strategies.md.")
    ] = None,
    budget: Annotated[int | None, typer.Option(help="Items a round, control included.")] = None,
    allocation: Annotated[Allocation | None, typer.Option()] = None,
    control_share: Annotated[float | None, typer.Option(help="Part drawn at random, as the control arm.")] = None,
    hard_share: Annotated[
        float | None, typer.Option(help="Part that the strategy puts first; the rest at random.")
    ] = None,
    noise_share: Annotated[
        float | None, typer.Option(help="Part for suspected label errors, up to 0.5; off at 0.")
    ] = None,
    blind_share: Annotated[
        float | None, typer.Option(help="Part shown with nothing filled in, up to 0.5; off at 0.")
    ] = None,
    overlap_share: Annotated[float | None, typer.Option(help="Part that gets a second opinion; off at 0.")] = None,
    nlu_band: Annotated[tuple[float, float] | None, typer.Option(help="LOW HIGH of nlu_score.")] = None,
    exclude_defects: Annotated[bool | None, typer.Option("--exclude-defects/--include-defects")] = None,
    train_on_weak: Annotated[bool | None, typer.Option("--train-on-weak/--no-train-on-weak")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    comment: Annotated[str, typer.Option(help="Why; kept in the history.")] = "",
) -> None:
    """Set what is given; the rest stays as it is. A domain inherits from its locale, a locale from *."""
    given: dict[str, Any] = {
        "strategy": strategy and strategy.value,
        "budget": budget,
        "allocation": allocation and allocation.value,
        "control_share": control_share,
        "hard_share": hard_share,
        "noise_share": noise_share,
        "blind_share": blind_share,
        "overlap_share": overlap_share,
        "nlu_low": nlu_band and nlu_band[0],
        "nlu_high": nlu_band and nlu_band[1],
        "exclude_defects": exclude_defects,
        "train_on_weak": train_on_weak,
        "seed": seed,
    }
    _change(locale, domain, {name: value for name, value in given.items() if value is not None}, preset, comment)


@app.command()
def unset(
    names: Annotated[list[str], typer.Argument(help="Settings to inherit again, or `all`.")],
    locale: Locale = ANY,
    domain: Domain = ANY,
    comment: Annotated[str, typer.Option()] = "",
) -> None:
    """Take settings back, so that they are inherited."""
    chosen = rows.SETTABLE if names == ["all"] else names
    wider = {"nlu_band": ("nlu_low", "nlu_high")}
    _change(locale, domain, dict.fromkeys(part for name in chosen for part in wider.get(name, (name,))), None, comment)


@app.command()
def history(
    locale: Locale = ANY, domain: Domain = ANY, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Who changed what, when and why."""
    with get_wiring().transaction() as session:
        changes = rows.changes(session, locale, domain)
    if as_json:
        fields = ("changed_at", "changed_by", "before", "after", "comment")
        return print_json([{name: getattr(change, name) for name in fields} for change in changes])
    table = [[f"{c.changed_at:%Y-%m-%d %H:%M}", c.changed_by, c.before, c.after, c.comment] for c in changes]
    return print_table(f"changes of {locale} {domain}", ["when", "who", "before", "after", "comment"], table)


def _change(locale: str, domain: str, updates: dict[str, Any], preset: str | None, comment: str) -> None:
    with one_line_errors(), get_wiring().transaction() as session:
        new = policies.change(
            session, locale, domain, updates, preset=preset, changed_by=getpass.getuser(), comment=comment
        )
    typer.echo(f"{locale} {domain}: " + (", ".join(f"{name}={value}" for name, value in new.items()) or "inherits all"))


@contextmanager
def one_line_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise CliError(str(error)) from error

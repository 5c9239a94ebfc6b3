"""assay selection: make rounds, publish them into Label Studio, replay them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Any

import typer

from db.models import SelectionRow
from db.repositories import queues as queue_rows
from db.repositories import selections as selection_rows
from plugin import __version__
from plugin.cli.agreement import show_agreement
from plugin.cli.errors import CliError
from plugin.cli.output import console, print_json, print_table, progress_bar
from plugin.quality.selection import SelectedItem, needs
from plugin.records import Arm, Strategy
from plugin.services import selection
from plugin.services.bandits import played, strategy_said
from plugin.services.policies import ANY
from plugin.wiring import Wiring, get_wiring

app = typer.Typer(no_args_is_help=True, help="Rounds of selection and the queues they fill.")

AsJson = Annotated[bool, typer.Option("--json")]


@app.command()
def refresh(
    locale: Annotated[str, typer.Option()],
    seed: Annotated[int | None, typer.Option(help="Instead of the policy's.")] = None,
    publish: Annotated[bool, typer.Option("--publish/--no-publish", help="Put it into Label Studio.")] = True,
    as_json: AsJson = False,
) -> None:
    """Choose a new round under the locale's policy and fill its review queues with it."""
    wiring = get_wiring()
    try:
        row, items = selection.refresh(wiring.transaction, locale, datetime.now(UTC), wiring.instance, seed=seed)
    except LookupError as error:
        raise CliError(str(error)) from error
    if row is None:
        raise CliError(
            f"no utterance of {locale} is eligible: see `assay policy show --locale {locale}`, `assay status`"
        )
    if publish:
        publish_queues(wiring, locale)
    summary = describe(row, items)
    if as_json:
        return print_json(summary)
    return print_round(summary)


app.command("agreement")(show_agreement)


@app.command("catch-up")
def catch_up(locale: Annotated[str, typer.Option()]) -> None:
    """Take in what has come in since, without a new round where that can be: workers do so by themselves."""
    wiring = get_wiring()
    done = wiring.keep_up(locale)
    if done is None:
        raise CliError(f"a worker is refreshing {locale} at this moment: see `assay status`")
    if done.problem is not None:
        raise CliError(done.problem)
    publish_queues(wiring, locale)
    if done.round_id is not None:
        console.print(f"round {done.round_id} of {locale}: {done.why}", markup=False)
    elif done.extension_id is not None:
        console.print(f"extension {done.extension_id} of the round of {locale}", markup=False)
    else:
        waiting = f"; {done.waiting} are too few for a place and wait for more" if done.waiting else ""
        console.print(f"nothing of {locale} is to be taken in{waiting}", markup=False)


@app.command("publish")
def publish_(locale: Annotated[str | None, typer.Option()] = None) -> None:
    """Bring Label Studio to the current rounds; what is there already is not sent again."""
    publish_queues(get_wiring(), locale)


def publish_queues(wiring: Wiring, locale: str | None) -> None:
    with wiring.transaction() as session:
        dirty = set(queue_rows.dirty_ids(session, wiring.instance))
        known = queue_rows.every(session, wiring.instance)
    chosen = [queue for queue in known if queue.id in dirty and locale in (None, queue.locale)]
    with progress_bar() as bar:
        for queue in bar.track(chosen, description="publishing queues"):
            try:
                wiring.publish(queue.id, wait=True)
            except LookupError as error:
                raise CliError(str(error)) from error


@app.command("list")
def list_(locale: Annotated[str | None, typer.Option()] = None, as_json: AsJson = False) -> None:
    """The latest rounds, and the extensions by which they went on."""
    with get_wiring().transaction() as session:
        rows = selection_rows.recent(session, locale=locale)
    fields = ("id", "extends_id", "locale", "created_at", "frame_size", "seed", "superseded_at")
    shown = [{name: getattr(row, name) for name in fields} | {"strategy": strategies(row)} for row in rows]
    if as_json:
        return print_json([values | {"played": played(row)} for values, row in zip(shown, rows, strict=True)])
    return print_table("rounds", (*fields, "strategy"), [list(round_.values()) for round_ in shown])


@app.command()
def show(
    selection_id: Annotated[int, typer.Argument()],
    domain: Annotated[str | None, typer.Option()] = None,
    as_json: AsJson = False,
) -> None:
    """The items of a round in the order of its queues: rank, record, arms, inclusion probability, score.

    Those of its extensions follow, each with a rank of its own: they were merged into what was being served. What has
    left for them is marked.
    """
    with get_wiring().transaction() as session:
        row = selection_rows.get(session, selection_id)
        if row is None:
            raise CliError(f"no round has the id {selection_id}; `assay selection list` shows them")
        items = selection_rows.shown_items(session, selection_id, domain)
    if as_json:
        return print_json(items)
    for name, queue in groupby(items, key=itemgetter("domain")):
        rows = [
            [place(row, item), item["id"], item["arms"], item["inclusion_probability"], item["score"], item["text"]]
            for item in queue
        ]
        score = needs(Strategy(strategy_of(row, name))).score or "score"
        title = f"round {selection_id}, {name}, by {strategy_said(row, name)}"
        print_table(title, (">rank", "id", "arms", ">inclusion", f">{score}", "text"), rows)
    for name, said in played(row).items():
        if domain in (None, name):
            console.print(why_said(name, said), markup=False)
    return None


@app.command()
def replay(selection_id: Annotated[int, typer.Argument()], as_json: AsJson = False) -> None:
    """Choose a stored round again and compare it byte for byte; exit code 1 when its items or its frame differ."""
    with get_wiring().transaction() as session:
        try:
            row, snapshot = selection.replay(session, selection_id)
        except LookupError as error:
            raise CliError(str(error)) from error
    again = selection.items_hash(selection.choose(snapshot))
    same_frame = selection.whole_hash(snapshot) == row.frame_hash
    if as_json:
        print_json(
            {
                "selection": selection_id, "stored": row.items_hash, "replayed": again,
                "same": again == row.items_hash, "same_frame": same_frame,
            }
        )  # fmt: skip
    if again != row.items_hash or not same_frame:
        raise CliError(differs(row, again, same_frame))
    if not as_json:
        typer.echo(f"round {selection_id} replays byte for byte: {again}")


def place(row: SelectionRow, item: dict[str, Any]) -> str:
    """`7`; `7 of 12` where extension 12 chose it; `7, left` where it made room."""
    of = "" if item["stratum"] == row.id else f" of {item['stratum']}"
    return f"{item['rank']}{of}{'' if item['dropped_by'] is None else ', left'}"


def differs(row: SelectionRow, again: str, same_frame: bool) -> str:
    """What changed since a round was stored: what it chose from, or how it is chosen."""
    if again == row.items_hash:
        said = f"round {row.id} replays to the same items {again}"
    else:
        said = f"round {row.id} stored {row.items_hash} but replays to {again}"
    if not same_frame:
        return f"{said}: its frame changed, the rows, scores or features are not those it was chosen from"
    return f"{said}: its frame is the same, the code changed ({row.code_version} stored it, this is {__version__})"


def strategy_of(row: SelectionRow, domain: str) -> str:
    name: str = (row.policy.get(domain) or row.policy[ANY])["strategy"]
    return name


def strategies(row: SelectionRow) -> str:
    """`el2n`, or with the domains that have a round of their own `el2n; music: bandit played k-means`."""
    shared = [strategy_said(row, ANY)] if ANY in row.policy else []
    own = [f"{domain}: {strategy_said(row, domain)}" for domain in sorted(row.policy) if domain != ANY]
    return "; ".join([*shared, *own])


def why_said(domain: str, said: dict[str, str]) -> str:
    """`weather plays entropy: thought best in weather, ...`."""
    return f"{'the others play' if domain == ANY else f'{domain} plays'} {said['strategy']}: {said['why']}"


def describe(row: SelectionRow, items: list[SelectedItem]) -> dict[str, Any]:
    domains: dict[str, Counter[str]] = {}
    for item in items:
        counter = domains.setdefault(item.domain, Counter())
        counter["items"] += 1
        counter.update(arm.value for arm in item.arms)
    return {
        "selection": row.id,
        "locale": row.locale,
        "strategy": strategies(row),
        "played": played(row),
        "eligible": row.frame_size,
        "items": len(items),
        "items_hash": row.items_hash,
        "domains": {domain: dict(counter) for domain, counter in sorted(domains.items())},
    }


def print_round(summary: dict[str, Any]) -> None:
    print_table(
        f"round {summary['selection']} of {summary['locale']} by {summary['strategy']}: "
        f"{summary['items']} of {summary['eligible']} eligible",
        ["domain", ">items", ">strategy", ">control", ">noise"],
        [
            [domain, counts["items"], *(counts.get(arm.value, 0) for arm in (Arm.STRATEGY, Arm.CONTROL, Arm.NOISE))]
            for domain, counts in summary["domains"].items()
        ],
    )
    console.print("What several of them chose counts in each of their columns.")
    for name, said in summary["played"].items():
        console.print(why_said(name, said), markup=False)

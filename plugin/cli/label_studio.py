"""assay label-studio: the queues over there, and a simulated annotator for demonstrations."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from db.repositories import queues as queue_rows
from plugin.cli import sources
from plugin.cli.doctor import doctor
from plugin.cli.errors import CliError
from plugin.cli.output import print_json, print_table, progress_bar
from plugin.cli.status import queue_url
from plugin.formats.files import open_records
from plugin.formats.record import parse_gold
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.simulated_annotator import SIMULATED_EMAIL, SimulatedAnnotator, truth_of
from plugin.records import Hypothesis
from plugin.services.queues import label_set, open_external_ids
from plugin.stack import accounts
from plugin.stack.files import Home
from plugin.wiring import Wiring, get_wiring, required

app = typer.Typer(no_args_is_help=True, help="The review queues in Label Studio, and the projects that feed them.")
app.add_typer(sources.app)
app.command("doctor")(doctor)

SECRET = "simulated_annotator_token"  # noqa: S105  # the name it is kept under


@app.command()
def queues(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Every review queue and its address."""
    with get_wiring().transaction() as session:
        rows = [
            {"locale": row.queue.locale, "domain": row.queue.domain, "published": row.published,
             "annotated": row.annotated, "url": queue_url(row.queue.project_id)}
            for row in queue_rows.counts(session)
        ]  # fmt: skip
    if as_json:
        return print_json(rows)
    columns = ["locale", "domain", ">published", ">annotated", "url"]
    return print_table("review queues", columns, [list(row.values()) for row in rows])


@app.command("simulate-annotator")
def simulate_annotator(
    truth: Annotated[Path, typer.Argument(help="Gold records with the same ids as the pool, such as truth.jsonl.")],
    locale: Annotated[str, typer.Option()],
    count: Annotated[int, typer.Option(min=1, help="Reviews in all, spread evenly over the locale's queues.")] = 200,
    error_rate: Annotated[float, typer.Option(min=0, max=1)] = 0.0,
    skip_rate: Annotated[float, typer.Option(min=0, max=1)] = 0.0,
    seed: Annotated[int, typer.Option()] = 0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Review queues through Label Studio's API as a simulated annotator who knows the truth. For demonstrations.

    It is a user of its own (simulated-annotator@example.org), and every annotation of its carries a note that says so.
    """
    wiring = get_wiring()
    with open_records(truth, parse_gold) as reader:
        known = {parsed.record.id: parsed.record.label for parsed in reader if parsed.record is not None}
    with wiring.transaction() as session:
        labels = label_set(session, locale)
        open_queues = {
            queue.project_id: open_external_ids(session, queue)
            for queue in queue_rows.of_locale(session, wiring.instance, locale)
            if queue.project_id is not None
        }
    if not open_queues:
        raise CliError(f"{locale} has no queue in Label Studio: `assay selection refresh --locale {locale}` makes them")
    answers: dict[int, Hypothesis | None] = {}
    for project_id, ids in open_queues.items():
        missing = [external_id for external_id in ids.values() if external_id not in known]
        if missing:
            raise CliError(f"{truth} does not know {missing[0]!r} of project {project_id}: is it this pool's truth?")
        answers |= {utterance_id: known[external_id] for utterance_id, external_id in ids.items()}
    client = annotators_client(wiring)
    annotator = SimulatedAnnotator(client, truth_of(answers), labels, error_rate, skip_rate, seed)
    with progress_bar() as bar:
        task = bar.add_task("simulated annotator", total=count)
        for project_id, share in shares({id_: len(ids) for id_, ids in open_queues.items()}, count).items():
            for _ in range(share):
                bar.advance(task, annotator.review(project_id, 1))
    if as_json:
        return print_json(annotator.done)
    return typer.echo("simulated annotator: " + ", ".join(f"{n} {verdict}" for verdict, n in annotator.done.items()))


def shares(open_tasks: dict[int, int], count: int) -> dict[int, int]:
    """`count` reviews in proportion to what each queue holds, none more than it has."""
    total = sum(open_tasks.values())
    count = min(count, total)
    exact = {project: count * size / total for project, size in open_tasks.items() if total}
    given = {project: int(share) for project, share in exact.items()}
    by_remainder = sorted(exact, key=lambda project: (given[project] - exact[project], project))
    for project in by_remainder[: count - sum(given.values())]:
        given[project] += 1
    return given


def annotators_client(wiring: Wiring) -> LabelStudio:
    """The account is made once; its token is kept beside the stack's other secrets."""
    url = required(wiring.settings, "label_studio_url")
    home = Home(wiring.settings.home.resolve())
    token = home.kept_secrets().get(SECRET)
    if token is None or not accounts.token_works(url, token):
        admin = required(wiring.settings, "label_studio_token")
        token = accounts.sign_up(url, admin, SIMULATED_EMAIL, secrets.token_urlsafe(16)).token
        home.keep_secret(SECRET, token)
    return wiring.label_studio_as(token)

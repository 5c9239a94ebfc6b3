"""`assay data`: corpora to try Assay with, when there is no production log at hand."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from plugin.cli.errors import CliError
from plugin.cli.output import console, errors, print_json, print_table, progress_bar
from plugin.corpora.demo import demo_corpus, demo_locales
from plugin.corpora.folder import FolderError, check_folder, file_sha256, read_about, write_folder, write_json_lines
from plugin.corpora.readers import Corpus, read_corpus
from plugin.corpora.simulate import SeedTrainer, WslOptions, WslPool, simulate_wsl, summarise
from plugin.corpora.split import Split, SplitError, split_corpus
from plugin.corpora.templates import TemplatesError
from plugin.formats.record import gold_to_json, to_json
from plugin.formats.source import UnreadableFileError
from plugin.settings import get_settings

app = typer.Typer(help="Make data to try Assay with.", no_args_is_help=True)

POOL, TRUTH = "pool.jsonl", "truth.jsonl"
GOLD = {"trusted": "gold-train.jsonl", "dev": "gold-dev.jsonl", "test": "gold-test.jsonl"}
FILES = (POOL, TRUTH, *GOLD.values())

Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


@app.command("simulate-wsl")
def simulate(
    corpus: Annotated[Path, typer.Argument(help="Labelled corpus: gold records, or a file of MASSIVE.")],
    output: Annotated[Path, typer.Option(help="Folder for the pool, the gold files, the truth and about.json.")],
    trusted: Annotated[int, typer.Option(min=1, help="Gold utterances that the seed model learns from.")] = 2500,
    dev: Annotated[int, typer.Option(min=1, help="Size of gold dev, if the corpus has none of its own.")] = 1000,
    test: Annotated[int, typer.Option(min=1, help="Size of gold test, if the corpus has none of its own.")] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    replicates: Annotated[int | None, typer.Option(min=1, help="Of the seed model; default: ASSAY_REPLICATES.")] = None,
    defect_recall: Annotated[float, typer.Option(min=0, max=1, help="Share of wrong hypotheses with a defect.")] = 0.8,
    defect_false_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of right ones with a defect.")] = 0.05,
    days: Annotated[int, typer.Option(min=1, help="Days over which the log is spread.")] = 30,
    until: Annotated[datetime | None, typer.Option(help="End of those days, in UTC; default: last midnight.")] = None,
    domain_scores: Annotated[bool, typer.Option(help="Give each record the seed model's domain scores.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Make it again even if the folder has it.")] = False,
    as_json: Json = False,
) -> None:
    """Make a weak-signal-labelled pool from a labelled corpus, with a seed model's hypotheses as labels.

    The same arguments give the same files; a folder that already has them is left as it is.
    """
    settings = get_settings()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        options = WslOptions(
            until=until.replace(tzinfo=UTC) if until else midnight,
            seed=seed,
            replicates=replicates or settings.replicates,
            defect_recall=defect_recall,
            defect_false_rate=defect_false_rate,
            days=days,
            domain_scores=domain_scores,
        )
    except ValueError as error:
        raise CliError(str(error)) from error
    try:
        check_folder(output, FILES)
        arguments = _arguments(corpus, options, {"trusted": trusted, "dev": dev, "test": test}, fixed_end=bool(until))
        about = None if force else _made_before(output, arguments)
        if about is None:
            with progress_bar() as progress:
                rows = _read(corpus, progress)
                split = split_corpus(rows.utterances, trusted=trusted, dev=dev, test=test, seed=seed)
                pool = _simulate(corpus, split, options, progress)
            about = _about(arguments, options, rows, split, pool)
            write_folder(output, _records(split, pool), about)
    except (UnreadableFileError, SplitError, FolderError) as error:
        raise CliError(str(error)) from error
    except OSError as error:
        raise CliError(f"cannot write {output}: {error.strerror}") from error
    if as_json:
        print_json(about)
    else:
        _print_about(output, about)


@app.command("demo-corpus")
def demo(
    output: Annotated[Path | None, typer.Option(help="File for the gold records, JSON Lines.")] = None,
    locale: Annotated[str, typer.Option(help="One of those that --list shows.")] = "en",
    size: Annotated[int, typer.Option(min=1, help="Number of utterances, all different.")] = 12_000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    noise: Annotated[float, typer.Option(min=0, max=1, help="Share with a speech recogniser's mistake.")] = 0.15,
    list_locales: Annotated[bool, typer.Option("--list", help="Show the locales and their templates.")] = False,
    as_json: Json = False,
) -> None:
    """Draw a labelled corpus from Home Assistant's sentence templates, in any of some 60 languages."""
    try:
        if list_locales:
            _print_locales(as_json=as_json)
            return
        if output is None:
            raise CliError("name the file to write: --output FILE")
        output.parent.mkdir(parents=True, exist_ok=True)
        corpus = demo_corpus(locale, size, seed=seed, noise=noise)
        write_json_lines(output, map(gold_to_json, corpus))
    except TemplatesError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        raise CliError(f"cannot write {output}: {error.strerror}") from error
    domains = sorted({row.label.domain for row in corpus})
    summary = {"file": str(output), "locale": locale, "seed": seed, "utterances": len(corpus), "domains": domains}
    if as_json:
        print_json(summary)
    else:
        console.print(f"{len(corpus):,} {locale} utterances of {len(domains)} domains in {output}")


def _print_locales(*, as_json: bool) -> None:
    locales = demo_locales()
    if as_json:
        print_json([{"locale": locale, "templates": count} for locale, count in locales])
    else:
        print_table("Locales of the demo corpus", ["locale", ">templates"], locales)


def _read(path: Path, progress: Progress) -> Corpus:
    bar = progress.add_task("read corpus", total=None)
    corpus = read_corpus(path, lambda done, total: progress.update(bar, completed=done, total=total))
    if corpus.rejected:
        line, why = corpus.rejected[0]
        errors.print(
            f"{len(corpus.rejected)} rows of {path} are left out; the first is line {line}: {why}", markup=False
        )
    if not corpus.utterances:
        raise CliError(f"{path} has no labelled utterance that can be used")
    return corpus


def _simulate(corpus: Path, split: Split, options: WslOptions, progress: Progress) -> WslPool:
    from plugin.wiring_ml import trainer  # torch takes seconds to load: only when a model is trained

    seed_trainer: SeedTrainer = trainer(get_settings())
    training = progress.add_task("train seed model", total=None)
    labelling = progress.add_task("label pool", total=len(split.pool))
    try:
        return simulate_wsl(
            split,
            seed_trainer,
            options,
            training=lambda done, total: progress.update(training, completed=done, total=total),
            labelling=lambda done, total: progress.update(labelling, completed=done, total=total),
        )
    except ValueError as error:
        raise CliError(f"cannot simulate with {corpus}: {error}") from error


def _arguments(corpus: Path, options: WslOptions, sizes: dict[str, int], *, fixed_end: bool) -> dict[str, Any]:
    """All that decides what the files hold. Without --until the first run of the day decides for later ones."""
    try:
        digest = file_sha256(corpus)
    except OSError as error:
        raise UnreadableFileError(f"cannot read {corpus}: {error.strerror}") from None
    return {
        "corpus_sha256": digest,
        **sizes,
        "seed": options.seed,
        "replicates": options.replicates,
        "defect_recall": options.defect_recall,
        "defect_false_rate": options.defect_false_rate,
        "days": options.days,
        "until": options.until.isoformat() if fixed_end else None,
        "domain_scores": options.domain_scores,
        "assay_version": version("assay-label-studio"),
    }


def _made_before(output: Path, arguments: dict[str, Any]) -> dict[str, Any] | None:
    about = read_about(output)
    complete = all((output / name).is_file() for name in FILES)
    return about if about and complete and about.get("arguments") == arguments else None


def _records(split: Split, pool: WslPool) -> dict[str, Any]:
    return {
        POOL: map(to_json, pool.utterances),
        TRUTH: map(gold_to_json, pool.truth),
        **{name: map(gold_to_json, getattr(split, part)) for part, name in GOLD.items()},
    }


def _about(
    arguments: dict[str, Any], options: WslOptions, corpus: Corpus, split: Split, pool: WslPool
) -> dict[str, Any]:
    return {
        "about": "a simulated weak-signal-labelled pool: hypotheses of a seed model, simulated defects and times",
        "nlu_score": "the seed model's confidence, as plugin.model defines it",
        "arguments": arguments,
        "until": options.until.isoformat(),
        "corpus": {
            "locales": sorted({row.locale for row in corpus.utterances}),
            "domains": sorted({row.label.domain for row in corpus.utterances}),
            "utterances": len(corpus.utterances),
            "rejected": len(corpus.rejected),
            "repeated_texts_dropped": split.dropped,
        },
        "files": {POOL: len(split.pool), TRUTH: len(split.pool)}
        | {name: len(getattr(split, part)) for part, name in GOLD.items()},
        "pool": summarise(pool),
    }


def _print_about(output: Path, about: dict[str, Any]) -> None:
    print_table(str(output), ["file", ">records"], about["files"].items())
    pool, window = about["pool"], about["pool"]["window"]
    low, high = window["nlu_band"]
    console.print(
        f"of the pool {pool['share_wrong']:.1%} have a wrong hypothesis;"
        f" NLU score in [{low}, {high}] and no defect: {window['utterances']:,} ({window['share']:.1%}),"
        f" {window['share_wrong']:.1%} of them wrong"
    )

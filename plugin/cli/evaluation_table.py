"""A run's numbers as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from plugin.cli.output import console, print_table
from plugin.services.evaluation import (
    ALL_DOMAINS,
    BASELINE,
    CANDIDATE,
    HIGHER_IS_BETTER,
    METRICS,
    PRIMARY,
    RANDOM,
    change_of,
)

PER_DOMAIN = ("semer", "dcer")
SURE = ("better", "worse")
FEW = 200  # test utterances; below, a domain's interval is too wide to decide by

Row = Mapping[str, Any]
Metrics = Mapping[tuple[str, str], Row]  # (domain, metric) -> its row


def print_report(report: Mapping[str, Any]) -> None:
    say(headline(report))
    if report["arms"]:
        arms = {arm: by_name(values) for arm, values in report["arms"].items()}
        print_overall(arms[BASELINE], arms[CANDIDATE])
        print_domains(arms[BASELINE], arms[CANDIDATE])
        print_test_sets(report["test_sets"])
    print_strategies(report)
    say(notes(report))


def say(lines: Iterable[str]) -> None:
    console.print("\n".join(lines), highlight=False, markup=False)


def by_name(values: Row) -> Metrics:
    return {(row["domain"], row["metric"]): row for row in values["metrics"]}


def headline(report: Mapping[str, Any]) -> list[str]:
    lines = [f"run {report['id']} · {report['locale']} · test set {report['test_set']} · {report['state']}"]
    if report["error"]:
        lines.append(f"failed: {report['error']}")
    if report["progress"]:
        lines.append(how_far(report["progress"]))
    for arm, values in report["arms"].items():
        size, seeds = values["training_size"], values["seeds"]
        name = f"{values['model_version']}, " if values["model_version"] else ""
        lines.append(f"{arm}: {name}trained on {size} utterances with {seeds} seed{'s' if seeds > 1 else ''}")
    return lines


def how_far(progress: Mapping[str, Any] | None) -> str:
    """Of an unfinished run."""
    if progress is None:
        return ""
    if progress["steps"] is None:
        return "not begun"
    left = progress["seconds_left"]
    return f"step {progress['done']} of {progress['steps']}" + (f", about {-(-left // 60)} min left" if left else "")


def print_overall(baseline: Metrics, candidate: Metrics) -> None:
    n = candidate[ALL_DOMAINS, METRICS[0]]["n"]
    rows = [[title(metric), *arms(baseline, candidate, ALL_DOMAINS, metric, share)] for metric in METRICS]
    columns = ["metric", ">baseline", ">candidate", ">relative change"]
    print_table(f"all domains, n = {n:,}, 95 % intervals (↓ lower is better)", columns, rows)


def print_domains(baseline: Metrics, candidate: Metrics) -> None:
    domains = sorted({domain for domain, _ in candidate if domain != ALL_DOMAINS})
    for metric in PER_DOMAIN:
        rows = [
            [domain, count(candidate, domain), *arms(baseline, candidate, domain, metric, plain_share)]
            for domain in domains
        ]
        columns = ["domain", ">n", ">baseline", ">candidate", ">relative change"]
        print_table(f"{title(metric)} by domain of the gold label", columns, rows)


def print_test_sets(test_sets: Sequence[Row]) -> None:
    """The others that the run asked; its own has tables of its own."""
    rows = []
    for found in test_sets[1:]:
        baseline, candidate = (by_name(found["arms"][arm]) for arm in (BASELINE, CANDIDATE))
        rows.append([found["name"], found["size"], *arms(baseline, candidate, ALL_DOMAINS, PRIMARY, plain_share)])
    if rows:
        columns = ["test set", ">n", ">baseline", ">candidate", ">relative change"]
        print_table(f"{title(PRIMARY)} on other test sets", columns, rows)


def print_strategies(report: Mapping[str, Any]) -> None:
    """Each strategy against random choice: figures overall, and what may be said of it, in words."""
    found = [row for row in report["verdicts"] if row["metric"] == PRIMARY]
    overall = [row for row in found if row["domain"] == ALL_DOMAINS]
    if overall:
        columns = ["strategy", "test set", f">{title(PRIMARY)}", ">of random", ">relative change", ">p (Holm)"]
        rates = {
            one["name"]: {arm: by_name(values) for arm, values in one["arms"].items()} for one in report["test_sets"]
        }
        rows = [
            [
                row["arm"],
                row["test_set"],
                *(plain_share(rates[row["test_set"]][arm].get((ALL_DOMAINS, PRIMARY))) for arm in (row["arm"], RANDOM)),
                span_of(row),
                "–" if row["p_holm"] is None else f"{row['p_holm']:.3f}",
            ]
            for row in overall
        ]
        print_table("strategies against random choice, with equally many labels", columns, rows)
    for row in [*overall, *(row for row in found if row["domain"] != ALL_DOMAINS and row["state"] in SURE)]:
        say([f"{row['test_set']}: {row['sentence']}"])
    if report["left_out"]:
        say([f"not compared: {name}: {reason}" for name, reason in sorted(report["left_out"].items())])


def span_of(row: Row) -> str:
    if row["relative"] is None:
        return "–"
    return f"{row['relative']:+.1%} [{100 * row['relative_low']:+.1f}, {100 * row['relative_high']:+.1f}]"


def arms(
    baseline: Metrics, candidate: Metrics, domain: str, metric: str, shown: Callable[[Row | None], str]
) -> tuple[str, str, str]:
    key = (domain, metric)
    return shown(baseline.get(key)), shown(candidate.get(key)), relative(candidate.get((domain, change_of(metric))))


def count(metrics: Metrics, domain: str) -> str:
    n = metrics[domain, METRICS[0]]["n"]
    return f"{n} (few)" if n < FEW else str(n)


def notes(report: Mapping[str, Any]) -> list[str]:
    steps = {step["name"]: step for step in report["steps"]}
    lines = []
    frozen = steps.get("freeze")
    if frozen:
        lines.append(
            f"candidate: {frozen['reviewed']} reviewed and {frozen['weak']} weak utterances beside the gold data; "
            f"{frozen['dropped']} left out because a test set or dev has their text"
        )
        if frozen["suspected"]:
            lines.append(f"{frozen['suspected']} weak utterances left out because their domain is likely wrong")
        if frozen["spared"]:
            lines.append(f"{frozen['spared']} control labels never train: they are the test set 'recent'")
        lines += [
            f"test set {name} shrank from {before:,} to {now:,}: numbers of before do not compare"
            for name, (before, now) in frozen["shrank"].items()
        ]
        if not frozen["reviewed"] and not frozen["weak"]:
            lines.append("no annotation has come back yet: both arms are the same model")
    if steps.get("evaluate", {}).get("promoted"):
        lines.append("the candidate was promoted")
    published = steps.get("publish")
    if published and published["error"]:
        lines.append(f"not yet in Label Studio: {published['error']}")
    return lines


def title(metric: str) -> str:
    name = {"slot_f1": "slot F1", "exact_match": "exact match"}.get(metric, metric.replace("_", "-").upper())
    return f"{name} {'↑' if metric in HIGHER_IS_BETTER else '↓'}"


def share(row: Row | None) -> str:
    return "–" if row is None else f"{row['value']:.1%}{interval(row, '.1f')}"


def plain_share(row: Row | None) -> str:
    return "–" if row is None else f"{row['value']:.1%}"


def relative(row: Row | None) -> str:
    return "–" if row is None else f"{row['value']:+.1%}{interval(row, '+.1f')}"


def interval(row: Row, form: str) -> str:
    if row["ci_low"] is None:
        return ""
    return f" [{100 * row['ci_low']:{form}}, {100 * row['ci_high']:{form}}]"


def print_comparison(found: Mapping[str, Any]) -> None:
    old, new = (f"run {found[side]}" for side in ("old", "new"))
    for one in found["test_sets"]:
        rows = [
            [title(row["metric"]), share(row["old"]), share(row["new"]), relative(row["change"])]
            for row in one["metrics"]
            if row["domain"] == ALL_DOMAINS
        ]
        seeds = f"{found['seeds']} seed{'s' if found['seeds'] > 1 else ''} each"
        heading = f"{found['arm']} on {one['name']}, n = {one['n']:,}, {seeds}, 95 % intervals"
        print_table(heading, ["metric", f">{old}", f">{new}", ">relative change"], rows)

"""A run's numbers as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.markup import escape

from plugin.cli.output import console, print_table
from plugin.services.evaluation import ALL_DOMAINS, BASELINE, CANDIDATE, HIGHER_IS_BETTER, METRICS, change_of

PER_DOMAIN = ("semer", "dcer")
FEW = 200  # test utterances; below, a domain's interval is too wide to decide by

Metrics = Mapping[tuple[str, str], Mapping[str, Any]]  # (domain, metric) -> its row


def print_report(report: Mapping[str, Any]) -> None:
    console.print(headline(report), highlight=False, markup=False)
    if report["arms"]:
        arms = {
            arm: {(row["domain"], row["metric"]): row for row in values["metrics"]}
            for arm, values in report["arms"].items()
        }
        print_overall(arms[BASELINE], arms[CANDIDATE])
        print_domains(arms[BASELINE], arms[CANDIDATE])
    console.print("\n".join(notes(report)), highlight=False, markup=False)


def headline(report: Mapping[str, Any]) -> str:
    lines = [f"run {report['id']} · {report['locale']} · test set {report['test_set']} · {report['state']}"]
    if report["error"]:
        lines.append(f"failed: {report['error']}")
    for arm, values in report["arms"].items():
        lines.append(f"{arm}: {values['model_version']}, trained on {values['training_size']} utterances")
    return "\n".join(lines)


def print_overall(baseline: Metrics, candidate: Metrics) -> None:
    n = candidate[ALL_DOMAINS, METRICS[0]]["n"]
    rows = []
    for metric in METRICS:
        key = (ALL_DOMAINS, metric)
        arrow = "higher is better" if metric in HIGHER_IS_BETTER else "lower is better"
        change = candidate.get((ALL_DOMAINS, change_of(metric)))
        rows.append([title(metric), share(baseline.get(key)), share(candidate.get(key)), relative(change), arrow])
    columns = ["metric", ">baseline", ">candidate", ">relative change", ""]
    print_table(f"all domains, n = {n}, with 95 % intervals", columns, rows)


def print_domains(baseline: Metrics, candidate: Metrics) -> None:
    domains = sorted({domain for domain, _ in candidate if domain != ALL_DOMAINS})
    columns = ["domain", ">n"]
    for metric in PER_DOMAIN:
        columns += [f">{title(metric)} baseline", ">candidate", ">change"]
    rows = [[domain, count(candidate, domain), *cells(baseline, candidate, domain)] for domain in domains]
    print_table("by domain of the gold label", columns, rows)


def cells(baseline: Metrics, candidate: Metrics, domain: str) -> Iterable[str]:
    for metric in PER_DOMAIN:
        for arm in (baseline, candidate):
            row = arm.get((domain, metric))
            yield "–" if row is None else f"{row['value']:.1%}"
        yield relative(candidate.get((domain, change_of(metric))))


def count(metrics: Metrics, domain: str) -> str:
    n = metrics[domain, METRICS[0]]["n"]
    return f"{n} (few)" if n < FEW else str(n)


def notes(report: Mapping[str, Any]) -> list[str]:
    steps = {step["name"]: step for step in report["steps"]}
    lines = []
    trained = steps.get("train candidate")
    if trained:
        lines.append(
            f"candidate: {trained['reviewed']} reviewed and {trained['weak']} weak utterances beside the gold data; "
            f"{trained['dropped_as_in_test']} left out because the test set has their text"
        )
        if not trained["reviewed"] and not trained["weak"]:
            lines.append("no annotation has come back yet: both arms are the same model")
    if steps.get("evaluate", {}).get("promoted"):
        lines.append("the candidate was promoted")
    published = steps.get("publish")
    if published and published["error"]:
        lines.append(f"not yet in Label Studio: {published['error']}")
    return lines


def title(metric: str) -> str:
    return {"slot_f1": "slot F1", "exact_match": "exact match"}.get(metric, metric.replace("_", "-").upper())


def share(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    return f"{row['value']:.1%}{interval(row, '.1%')}"


def relative(row: Mapping[str, Any] | None) -> str:
    return "–" if row is None else f"{row['value']:+.1%}{interval(row, '+.1%')}"


def interval(row: Mapping[str, Any], form: str) -> str:
    if row["ci_low"] is None:
        return ""
    return f" [{row['ci_low']:{form}}, {row['ci_high']:{form}}]"


def plain(value: object) -> object:
    """A table's cell: times without seconds, text that rich does not read as markup."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return escape(value) if isinstance(value, str) else value

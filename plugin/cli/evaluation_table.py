"""A run's numbers as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plugin.cli.output import console, print_table
from plugin.services.evaluation import ALL_DOMAINS, BASELINE, CANDIDATE, HIGHER_IS_BETTER, METRICS, change_of

PER_DOMAIN = ("semer", "dcer")
FEW = 200  # test utterances; below, a domain's interval is too wide to decide by

Row = Mapping[str, Any]
Metrics = Mapping[tuple[str, str], Row]  # (domain, metric) -> its row


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
    rows = [[title(metric), *arms(baseline, candidate, ALL_DOMAINS, metric, share)] for metric in METRICS]
    columns = ["metric", ">baseline", ">candidate", ">relative change"]
    print_table(f"all domains, n = {n:,}, 95 % intervals over test utterances (↓ lower is better)", columns, rows)


def print_domains(baseline: Metrics, candidate: Metrics) -> None:
    domains = sorted({domain for domain, _ in candidate if domain != ALL_DOMAINS})
    for metric in PER_DOMAIN:
        rows = [
            [domain, count(candidate, domain), *arms(baseline, candidate, domain, metric, plain_share)]
            for domain in domains
        ]
        columns = ["domain", ">n", ">baseline", ">candidate", ">relative change"]
        print_table(f"{title(metric)} by domain of the gold label", columns, rows)


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
    trained = steps.get("train candidate")
    if trained:
        lines.append(
            f"candidate: {trained['reviewed']} reviewed and {trained['weak']} weak utterances beside the gold data; "
            f"{trained['dropped']} left out because a test set or dev has their text"
        )
        if trained.get("suspected"):  # runs of before there was a guard do not say
            lines.append(f"{trained['suspected']} weak utterances left out because their domain is likely wrong")
        if not trained["reviewed"] and not trained["weak"]:
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

"""An experiment with known effects: what the analysis must find again.

Random's error falls as a power of the labels, error(b) = level * (1 + b / TRUSTED)^-SLOPE, times noise that a
pair's arms share (its draw) and noise of each trial's own (its training). An arm either lowers the error by
a factor or works as if it had `1 / (1 - saved)` times the labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TRUSTED = 0.1
SLOPES = {"dcer": 0.35, "semer": 0.25, "f_semer": 0.25, "irer": 0.25, "icer": 0.3, "slot_f1": -0.1, "exact_match": -0.1}
LEVELS = {
    "dcer": 0.24, "semer": 0.45, "f_semer": 0.46, "irer": 0.6, "icer": 0.34, "slot_f1": 0.5, "exact_match": 0.4,
}  # fmt: skip
DOMAINS = {"calendar": 400, "play": 390, "qa": 290, "email": 270, "iot": 220, "music": 80}
UTTERANCES = sum(DOMAINS.values())
LOCALES = ("sw-KE", "is-IS", "th-TH", "cy-GB", "am-ET")


@dataclass(frozen=True)
class World:
    """`effects`: arm -> metric -> relative change; `saved`: arm -> share of labels saved; both as truth."""

    arms: Sequence[str] = ("random", "random-2", "entropy", "el2n-10-90", "default")
    locales: Sequence[str] = LOCALES
    seeds: Sequence[int] = tuple(range(10))
    budgets: Sequence[float] = (5, 10, 20)
    pools: Sequence[str] = ("whole",)
    labels: Sequence[str] = ("reviewed",)
    effects: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    saved: Mapping[str, float] = field(default_factory=dict)
    domain_effects: Mapping[tuple[str, str], float] = field(default_factory=dict)
    weak_penalty: float = 0.07
    shared_noise: float = 0.03
    own_noise: float = 0.02
    counts: bool = False  # whole numbers of errors, drawn at random, instead of exact shares
    corpus: str = "massive"
    noise: float = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    ends: bool = True
    rng_seed: int = 0

    def rows(self) -> list[dict[str, Any]]:
        rng = np.random.default_rng(self.rng_seed)
        rows = []
        for seed in self.seeds:
            for at, locale in enumerate(self.locales):
                draw = {metric: float(np.exp(rng.normal(0, self.shared_noise))) for metric in LEVELS}
                hard = 1.0 + 0.15 * at
                rows += [self._row(rng, locale, seed, draw, hard, *cell) for cell in self._cells()]
        return rows

    def _cells(self) -> list[tuple[str, str, float, str]]:
        settings = [(pool, labels) for pool in self.pools for labels in self.labels]
        cells = [(*setting, budget, arm) for setting in settings for budget in self.budgets for arm in self.arms]
        if self.ends:
            cells += [(*setting, 40, "random") for setting in settings]
            cells += [("none", "none", 0, "nothing"), *((*setting, 100, "everything") for setting in settings)]
        return cells

    def _row(
        self, rng: np.random.Generator, locale: str, seed: int, draw: Mapping[str, float], hard: float,
        pool: str, labels: str, budget: float, arm: str,
    ) -> dict[str, Any]:  # fmt: skip
        errors = {}
        for metric, level in LEVELS.items():
            reach = budget / 100 / (1.0 - self.saved.get(arm, 0.0))
            rate = level * hard * (1 + reach / TRUSTED) ** -SLOPES[metric]
            rate *= draw[metric] * float(np.exp(rng.normal(0, self.own_noise)))
            rate *= 1.0 + self.effects.get(arm, {}).get(metric, 0.0)
            rate *= 1.0 + (self.weak_penalty if labels == "weak" else 0.0) + self.noise / 200
            errors[metric] = self._terms(rng, min(rate, 1.0), arm)
        size = round(9000 * budget / 100)
        return {
            "trial": {
                "corpus": self.corpus, "locale": locale, "seed": seed, "pool": pool, "labels": labels,
                "noise": self.noise, "budget": budget, "arm": arm, **self.extra,
            },
            "size": size,
            "pool_size": 9000,
            "errors": errors,
            "selected": {
                "wrong_share": 0.3 + 0.1 * (arm == "entropy"), "wrong_domain_share": 0.12, "mean_tokens": 6.5,
                "domains": {domain: size * n // UTTERANCES for domain, n in DOMAINS.items()} if size else {},
            },
            "seconds": {"select": 0.2 + 3.0 * (arm == "default"), "score": 11.0, "train": 9.5, "evaluate": 1.1},
            "peak_rss_mb": 900 + 90 * (arm == "default"),
            "select_peak_mb": 2.7 + 90 * (arm == "default") if self._is_measured(locale, seed) else None,
        }  # fmt: skip

    def _is_measured(self, locale: str, seed: int) -> bool:
        """Once for each arm in a process, as a run does it."""
        return (locale, seed) == (self.locales[0], self.seeds[0])

    def _terms(self, rng: np.random.Generator, rate: float, arm: str) -> dict[str, list[float]]:
        rates = {domain: rate * (1.0 + self.domain_effects.get((arm, domain), 0.0)) for domain in DOMAINS}
        wrong = {
            domain: float(rng.binomial(n, min(1.0, rates[domain]))) if self.counts else rates[domain] * n
            for domain, n in DOMAINS.items()
        }
        terms = {domain: [wrong[domain], n] for domain, n in DOMAINS.items()}
        return {"*": [sum(wrong.values()), UTTERANCES], **terms}


def write(directory: Path, rows: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any] | None = None) -> Path:
    """The folder of an experiment that has these rows."""
    (directory / "results").mkdir(parents=True)
    (directory / "manifest.json").write_text(json.dumps(manifest or MANIFEST), encoding="utf-8")
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (directory / "results" / "massive.jsonl").write_text(text, encoding="utf-8")
    return directory


MANIFEST: Mapping[str, Any] = {
    "format": 1,
    "setup": {"trusted": 1000, "epochs": 15, "evaluate_on": "test"},
    "corpora": {"massive/sw-KE": {"file": "sw-KE.jsonl.gz", "sha256": "0" * 64, "utterances": 16521}},
    "runs": [
        {
            "started": "2026-11-25T10:00:00+00:00",
            "command": "assay experiment run --preset core --corpus massive --out out",
            "grid": {"seeds": list(range(10))},
            "workers": 2,
            "versions": {"assay": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
            "machine": "Linux x86_64",
        }
    ],
}

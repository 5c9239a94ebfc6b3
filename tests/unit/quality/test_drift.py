"""Drift: sizes as defined, p-values that are right, few false alarms where nothing has changed, and real ones found."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from plugin.quality.drift import (
    Change,
    Ranking,
    calibration,
    mix_shift,
    ranking,
    ranking_loss,
    share_change,
    shift,
    stability_index,
    stratified_share_change,
)

ALPHA = 0.001
Draw = Callable[[np.random.Generator], Change]


def test_the_stability_index_is_its_formula() -> None:
    before, now = np.array([50.0, 30.0, 20.0]), np.array([30.0, 30.0, 40.0])
    p, q = (before + 0.5) / 101.5, (now + 0.5) / 101.5
    assert stability_index(before, now).value == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert stability_index(before, before).value == 0.0
    assert stability_index([5, 0], [0, 5]).value > 2.0  # an empty bin has a logarithm
    assert stability_index([10], [20]) == Change(0.0, 1.0, 10, 20)


@pytest.mark.parametrize("sides", [([], []), ([0, 0], [1, 2]), ([1, 2], [0, 0])])
def test_of_nothing_nothing_is_told(sides: tuple[list[int], list[int]]) -> None:
    found = stability_index(*sides)
    assert math.isnan(found.value)
    assert found.p == 1.0
    for change in (shift([], [1.0]), mix_shift([], ["a"]), share_change((0, 0), (1, 2)), stratified_share_change([])):
        assert math.isnan(change.value)
        assert change.p == 1.0


def test_without_a_change_p_values_are_uniform() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(12, 10.0))
    found = [stability_index(rng.multinomial(8000, shares), rng.multinomial(2000, shares)).p for _ in range(500)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    cells = [
        stratified_share_change(
            [((int(rng.binomial(300, p)), 300), (int(rng.binomial(100, p)), 100)) for p in (0.9, 0.7, 0.5)]
        ).p
        for _ in range(500)
    ]
    assert stats.kstest(cells, "uniform").pvalue > 0.01
    sure = rng.uniform(0.5, 1.0, (500, 400))
    z = [calibration(row, rng.random(400) < row).p for row in sure]
    assert stats.kstest(z, "uniform").pvalue > 0.01


def of_scores(rng: np.random.Generator, n: int = 2000, m: int = 500, moved: float = 0.0) -> Change:
    return shift(rng.gamma(2.0, 0.3, n), rng.gamma(2.0, 0.3, m) + moved)


def of_domains(rng: np.random.Generator, n: int = 2000, m: int = 500, share: float = 0.1) -> Change:
    names = [f"d{at}" for at in range(12)]
    rest = np.arange(11, 0, -1) / 66.0
    shares = [np.append(part, rest * (1.0 - part)) for part in (0.1, share)]
    return mix_shift(*(rng.choice(names, size, p=p).tolist() for size, p in zip((n, m), shares, strict=True)))


def of_ranking(rng: np.random.Generator, n: int = 400, m: int = 100, gap: float = 1.0) -> Change:
    def side(size: int, gap: float) -> Ranking:
        wrong = rng.random(size) < 0.3
        return ranking(rng.standard_normal(size) + gap * wrong, wrong)

    return ranking_loss(side(n, 1.0), side(m, gap))


def of_accepts(rng: np.random.Generator, n: int = 400, m: int = 100, share: float = 0.8) -> Change:
    return share_change((int(rng.binomial(n, 0.8)), n), (int(rng.binomial(m, share)), m))


def rate(draw: Draw, threshold: float, times: int, *, alpha: float = ALPHA) -> float:
    rng = np.random.default_rng(1)
    found = [draw(rng) for _ in range(times)]
    return float(np.mean([abs(one.value) >= threshold and one.p < alpha for one in found]))


@pytest.mark.parametrize(
    ("draw", "threshold"),
    [(of_scores, 0.2), (of_domains, 0.2), (of_ranking, 0.1), (of_accepts, 0.15)],
)
def test_of_two_samples_from_one_world_hardly_one_in_a_thousand_alarms(draw: Draw, threshold: float) -> None:
    """A/A, at the smallest samples that are looked at by default."""
    assert rate(draw, threshold, 800) <= 3 * ALPHA


@pytest.mark.full
@pytest.mark.parametrize(
    ("draw", "threshold"),
    [(of_scores, 0.2), (of_domains, 0.2), (of_ranking, 0.1), (of_accepts, 0.15)],
)
def test_false_alarms_in_many_samples(draw: Draw, threshold: float, capsys: pytest.CaptureFixture[str]) -> None:
    found, size_alone = rate(draw, threshold, 10_000), rate(draw, threshold, 2000, alpha=1.1)
    with capsys.disabled():
        print(f"\n{draw.__name__}: {found:.2%} false alarms, {size_alone:.1%} by the threshold alone")
    assert found <= 1.5 * ALPHA


def test_a_size_alone_would_alarm_on_small_samples_all_the_time() -> None:
    def small(rng: np.random.Generator) -> Change:
        return of_scores(rng, 50, 50)

    assert rate(small, 0.2, 300, alpha=1.1) > 0.7
    assert rate(small, 0.2, 300) < 0.01
    assert np.mean([small(np.random.default_rng(seed)).value for seed in range(200)]) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("draw", "threshold"),
    [
        (lambda rng: of_scores(rng, moved=0.25), 0.2),
        (lambda rng: of_domains(rng, share=0.35), 0.2),
        (lambda rng: of_ranking(rng, 800, 400, gap=0.0), 0.1),
        (lambda rng: of_accepts(rng, share=0.5), 0.15),
    ],
)
def test_what_has_changed_is_found(draw: Draw, threshold: float) -> None:
    assert rate(draw, threshold, 100) > 0.9


def test_large_samples_alarm_of_no_change_that_is_small() -> None:
    rng = np.random.default_rng(0)
    found = shift(rng.standard_normal(50_000), rng.standard_normal(50_000) + 0.05)
    assert found.p < ALPHA
    assert found.value < 0.2


def test_the_shift_has_the_distance_and_p_of_scipy_and_bears_ties() -> None:
    rng = np.random.default_rng(0)
    before, now = rng.integers(0, 4, 900) / 4.0, rng.integers(0, 5, 700) / 4.0
    found, test = shift(before, now), stats.ks_2samp(before, now, method="asymp")
    assert (found.ks, found.p) == (test.statistic, test.pvalue)
    assert found.value > 0.5  # what is above all that was before is a bin of its own
    assert shift(np.zeros(600), np.zeros(600)).value == 0.0
    assert shift(np.zeros(600), np.ones(600)).value > 1.0


def test_rare_and_new_domains_count_as_one() -> None:
    before = ["music"] * 1000 + [f"odd {number}" for number in range(20)]
    now = ["music"] * 1000 + [f"new {number}" for number in range(20)]
    assert mix_shift(before, now).value == pytest.approx(0.0, abs=1e-9)
    assert mix_shift(before, ["music"] * 600 + ["new"] * 400).value > 0.2


@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_that_of_scikit_learn_and_its_error_that_of_delong(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wrong = rng.random(300) < 0.3
    scores = np.round(rng.standard_normal(300) + wrong, 1)  # with ties
    found = ranking(scores, wrong)
    assert found.area == pytest.approx(roc_auc_score(wrong, scores))
    pairs = (scores[wrong][:, None] > scores[~wrong]) + 0.5 * (scores[wrong][:, None] == scores[~wrong])  # (W, R)
    delong = pairs.mean(axis=1).var(ddof=1) / wrong.sum() + pairs.mean(axis=0).var(ddof=1) / (~wrong).sum()
    assert found.error == pytest.approx(math.sqrt(delong))


def test_a_better_ranking_is_no_loss() -> None:
    worse, better = Ranking(0.6, 0.03, 100, 300), Ranking(0.8, 0.03, 100, 300)
    assert ranking_loss(worse, better).value == pytest.approx(-0.2)
    assert ranking_loss(worse, better).p > 0.99
    assert ranking_loss(better, worse).p < ALPHA
    assert ranking_loss(Ranking(math.nan, math.nan, 0, 10), better).p == 1.0
    assert ranking_loss(ranking([1.0, 2.0], [True, False]), better).p == 1.0  # one of each has no error


def test_a_share_is_compared_within_strata() -> None:
    mixed = [((90, 100), (9, 10)), ((1, 10), (10, 100))]
    assert stratified_share_change(mixed).value == pytest.approx(0.0)
    assert share_change((91, 110), (19, 110)).value < -0.6  # which is the mix alone
    table = [((80, 100), (30, 60)), ((40, 90), (20, 70))]
    found = stratified_share_change([*table, ((0, 0), (5, 5))])
    weights = np.array([100 * 60 / 160, 90 * 70 / 160])
    assert found.value == pytest.approx(weights @ np.array([0.5 - 0.8, 20 / 70 - 40 / 90]) / weights.sum())
    assert (found.before, found.now) == (190, 130)


def test_the_normal_test_is_fishers_nearly() -> None:
    for before, now in (((80, 100), (60, 100)), ((190, 200), (85, 100))):
        table = [[before[0], before[1] - before[0]], [now[0], now[1] - now[0]]]
        exact = stats.fisher_exact(table).pvalue
        assert share_change(before, now).p == pytest.approx(exact, rel=0.5)


def test_calibration_says_which_way_it_errs() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.6, 1.0, 500)
    honest = calibration(sure, rng.random(500) < sure)
    assert honest.p > 0.01
    boaster = calibration(sure, rng.random(500) < sure - 0.2)
    assert boaster.gap == pytest.approx(0.2, abs=0.05)
    assert boaster.error > 0.1
    assert boaster.p < ALPHA
    assert calibration([1.0] * 50, [True] * 50) == calibration([1.0] * 50, [True] * 50)
    assert calibration([1.0] * 50, [True] * 50).p == 1.0
    assert calibration([1.0] * 50, [True] * 49 + [False]).p == 0.0
    assert calibration([], []).cases == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: stability_index([1, 2], [1, 2, 3]), r"counts must be \(B,\)"),
        (lambda: stability_index([-1, 2], [1, 2]), "not negative"),
        (lambda: stability_index([math.nan, 2], [1, 2]), "finite"),
        (lambda: shift([math.nan], [1.0]), "finite"),
        (lambda: shift([1.0], [1.0], bins=1), "bins must be at least 2"),
        (lambda: ranking([1.0], [True, False]), "must both be"),
        (lambda: ranking([1.0], [2]), "only true and false"),
        (lambda: share_change((3, 2), (1, 1)), "successes must lie"),
        (lambda: calibration([1.5], [True]), "confidence must lie"),
    ],
)
def test_what_cannot_be_compared_is_refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from plugin.quality.agreement import agreement, cohen_kappa, krippendorff_alpha, slot_f1
from plugin.records import Hypothesis, Slot

names = st.sampled_from("abcd")
pairs = st.lists(st.tuples(names, names), min_size=1, max_size=30)


def columns(found: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [one for one, _ in found], [other for _, other in found]


def brute_force_alpha(one: Sequence[str], other: Sequence[str]) -> float:
    """From the definition: disagreement within units against that among all values, paired without replacement."""
    observed = np.mean([left != right for left, right in zip(one, other, strict=True)])
    expected = np.mean([left != right for left, right in itertools.permutations([*one, *other], 2)])
    return float(1.0 - observed / expected) if expected else math.nan


@pytest.mark.parametrize(
    ("one", "other", "alpha"),
    [("0100000010", "1110010000", 0.095), ("aabbdcccedda", "babbbccceddd", 0.692)],  # the paper's sections A and B
)
def test_alpha_is_that_of_krippendorffs_paper(one: str, other: str, alpha: float) -> None:
    assert krippendorff_alpha(one, other).value == pytest.approx(alpha, abs=5e-4)


@given(pairs)
def test_alpha_is_its_definition_and_does_not_mind_who_said_what(found: list[tuple[str, str]]) -> None:
    one, other = columns(found)
    value = krippendorff_alpha(one, other).value
    assert value == pytest.approx(brute_force_alpha(one, other), nan_ok=True)
    swapped = columns([pair[::-1] if place % 2 else pair for place, pair in enumerate(found)])
    assert krippendorff_alpha(*swapped).value == pytest.approx(value, nan_ok=True)


@given(pairs)
def test_kappa_is_that_of_scikit_learn(found: list[tuple[str, str]]) -> None:
    one, other = columns(found)
    value = cohen_kappa(one, other).value
    if len({*one, *other}) == 1:
        assert math.isnan(value)
    else:
        assert value == pytest.approx(cohen_kappa_score(one, other), nan_ok=True)


def test_kappa_forgives_a_habit_that_alpha_does_not() -> None:
    one, other = "aaaaaaabbb", "aaabbbbbbb"
    assert cohen_kappa(one, other).value > krippendorff_alpha(one, other).value


@pytest.mark.parametrize("measure", [krippendorff_alpha, cohen_kappa])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(measure: object) -> None:
    """Two raters who are right with 0.9 each, among three names that are equally frequent."""
    rng = np.random.default_rng(5)
    right = 0.9
    same = right**2 + (1 - right) ** 2 / 2
    truth = 1 - (1 - same) / (2 / 3)
    held = 0
    for _ in range(200):
        gold = rng.integers(3, size=120)
        said = [np.where(rng.random(120) < right, gold, (gold + rng.integers(1, 3, size=120)) % 3) for _ in range(2)]
        found = measure(said[0].tolist(), said[1].tolist())  # type: ignore[operator]
        held += found.low <= truth <= found.high
    assert binomtest(held, 200, 0.95).pvalue > 1e-3


def test_where_nobody_disagreed_the_interval_is_not_of_no_length() -> None:
    few, many = (krippendorff_alpha("ab" * n, "ab" * n) for n in (5, 500))
    assert [few.value, few.high, many.value] == [1.0, 1.0, 1.0]
    assert few.low < 0.5
    assert 0.95 < many.low < 1.0
    # Of ten pairs, 28 % may disagree at most (Wilson): against half, by chance, and pairs without replacement.
    assert few.low == pytest.approx(1 - 0.27753 / (1 - 2 * 10 * 9 / (20 * 19)), abs=1e-4)


def test_one_name_alone_is_nothing_to_agree_on() -> None:
    for measure in (krippendorff_alpha, cohen_kappa):
        assert math.isnan(measure("aaaa", "aaaa").value)
        assert math.isnan(measure("", "").value)


def test_answers_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 1 and 2"):
        krippendorff_alpha("a", "ab")
    with pytest.raises(ValueError, match="there are 1 and 0"):
        agreement([None], [])


def label(intent: str, *slots: tuple[int, int, str], domain: str = "music") -> Hypothesis:
    return Hypothesis(domain, intent, tuple(Slot(*slot) for slot in slots))


def test_slots_agree_by_label_and_span_where_both_have_labelled() -> None:
    one = [label("play", (0, 3, "artist"), (4, 9, "song")), label("play"), None, label("play", (0, 3, "song"))]
    other = [label("stop", (0, 3, "artist"), (4, 8, "song")), label("play", (0, 3, "song")), label("play"), None]
    found = slot_f1(one, other)
    assert found.value == pytest.approx(2 * 1 / (2 + 2 + 0 + 1))
    assert found.n == 2
    assert slot_f1(other, one) == found
    assert math.isnan(slot_f1([label("play"), None], [label("play"), None]).value)


def test_all_slots_the_same_leaves_room_for_doubt() -> None:
    same = [label("play", (0, 3, "artist"))] * 10
    found = slot_f1(same, same)
    assert found.value == found.high == pytest.approx(1.0)
    assert found.low == pytest.approx(0.722, abs=1e-3)


def test_an_agreement_is_of_everything_and_of_each_part() -> None:
    one = [label("play"), label("play"), label("play", (0, 3, "artist")), None, label("rain", domain="weather")]
    other = [label("play"), label("stop"), label("play"), None, label("play")]
    found = agreement(one, other)
    assert found.n == 5
    assert found.whole.value == pytest.approx(2 / 5)
    assert found.domain.value == brute_force_alpha("mmmnw", "mmmnm")
    assert found.intent.value == pytest.approx(brute_force_alpha("pppnw", "pspnp"))
    assert found.slots.value == 0.0
    assert found.slots.high > 0.5
    assert agreement(one, other, by_rater=True).intent.value == cohen_kappa("pppnw", "pspnp").value


def test_the_same_intent_of_another_domain_is_another() -> None:
    found = agreement([label("play")] * 2, [label("play"), label("play", domain="video")])
    assert found.intent.value == found.domain.value == brute_force_alpha("mm", "mv")


def test_many_names_are_no_trouble() -> None:
    rng = np.random.default_rng(1)
    one = [f"intent {number}" for number in rng.integers(60, size=2000)]
    other = [name if rng.random() < 0.8 else "other" for name in one]
    found = krippendorff_alpha(one, other)
    assert found.value == pytest.approx(fast_alpha(one, other))
    assert found.low < found.value < found.high


def fast_alpha(one: list[str], other: list[str]) -> float:
    said = Counter([*one, *other])
    n = said.total()
    expected = 1 - sum(count * (count - 1) for count in said.values()) / (n * (n - 1))
    return 1 - float(np.mean([a != b for a, b in zip(one, other, strict=True)])) / expected

"""The exact join against comparing every text with every other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plugin.quality.selection import near_duplicates
from plugin.quality.selection.near_duplicates import Tokens, _Kept, token_set

WORDS = [f"w{number}" for number in range(14)]
# Long sets over few words, with copies that differ in a word or two: many pairs lie right at the threshold.
long_texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map(" ".join), max_size=25)
thresholds = st.sampled_from([Fraction(9, 10), Fraction(1, 2), Fraction(7, 9), Fraction(1), Fraction(1, 100)])


@st.composite
def texts_with_variants(draw: st.DrawFn) -> list[str]:
    texts = draw(long_texts)
    for text in list(texts):
        words = text.split()
        if draw(st.booleans()):
            words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(WORDS))
            texts.append(" ".join(words))
    return draw(st.permutations(texts))


def near(one: str, other: str, threshold: Fraction) -> bool:
    a, b = token_set(one), token_set(other)
    return Fraction(len(a & b), len(a | b)) >= threshold


def by_comparing_all(texts: list[str], taken: list[str], threshold: Fraction) -> list[bool]:
    kept, drops = list(taken), []
    for text in texts:
        drops.append(any(near(text, other, threshold) for other in kept))
        if not drops[-1]:
            kept.append(text)
    return drops


@settings(max_examples=300)
@given(texts=texts_with_variants(), taken=texts_with_variants(), threshold=thresholds)
@example(texts=["a b c d e f g h i", "a b c d e f g h i j"], taken=[], threshold=Fraction(9, 10))
@example(texts=["a b c d e f g h i j", "b c d e f g h i j"], taken=[], threshold=Fraction(9, 10))
def test_it_finds_what_comparing_all_finds(texts: list[str], taken: list[str], threshold: Fraction) -> None:
    assert near_duplicates(texts, taken, threshold).tolist() == by_comparing_all(texts, taken, threshold)


@pytest.mark.parametrize("threshold", [Fraction(9, 10), Fraction(4, 5)])
@pytest.mark.parametrize("seed", range(5))
def test_long_texts_that_differ_by_some_words(seed: int, threshold: Fraction) -> None:
    """Added, left out and changed words around the threshold, at sizes that ask for prefixes of several lengths."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{number}" for number in range(200)])
    texts = [rng.choice(words, rng.integers(15, 60), replace=False) for _ in range(40)]
    for source in rng.integers(0, 40, 160):
        kept = texts[source][rng.random(texts[source].size) > rng.choice([0.0, 0.05, 0.1])]
        texts.append(rng.permutation(np.union1d(kept, rng.choice(words, rng.integers(0, 5)))))
    said = [" ".join(texts[row]) for row in rng.permutation(len(texts))]
    expected = by_comparing_all(said, [], threshold)
    assert 20 < sum(expected) < 160
    assert near_duplicates(said, threshold=threshold).tolist() == expected


def test_few_pairs_are_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a single shared token, four times as many texts would be sixteen times as many pairs."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(1, 3001)
    said = [
        " ".join(f"w{word}" for word in rng.choice(3000, rng.integers(20, 60), p=chance / chance.sum()))
        for _ in range(2000)
    ]
    compared = []
    is_near = _Kept._is_near

    def counted(kept: _Kept, one: Tokens, other: Tokens) -> bool:
        compared.append(1)
        return is_near(kept, one, other)

    monkeypatch.setattr(_Kept, "_is_near", counted)
    assert not near_duplicates(said).any()
    assert len(compared) < len(said)


@settings(max_examples=100)
@given(texts=st.lists(st.text(max_size=6), max_size=12), taken=st.lists(st.text(max_size=6), max_size=4))
def test_any_text_whatever(texts: list[str], taken: list[str]) -> None:
    assert near_duplicates(texts, taken).tolist() == by_comparing_all(texts, taken, Fraction(9, 10))


@pytest.mark.parametrize(
    ("one", "other", "near_each_other"),
    [
        ("play jazz", "Play JAZZ!", True),
        ("play jazz", "jazz, play", True),
        ("play jazz", "play some jazz", False),
        (
            "one two three four five six seven eight nine",
            "one two three four five six seven eight nine ten",
            True,
        ),  # 9/10
        ("one two three four five six seven eight", "one two three four five six seven eight nine", False),  # 8/9
        ("caf\u00e9 nearby", "cafe\u0301 nearby", True),
        ("7 \uff11\uff12", "7 12", True),  # full-width digits
        ("明天北京会下雨吗", "明天北京会下雨吗？", True),
        ("明天天气", "今天天气", False),
        ("ตั้งปลุก ตีห้า", "ตั้งปลุกตีห้า", True),
        ("👍", "👎", False),
        ("👍", " 👍 ", True),
        ("\u200b", " ", False),
    ],
)
def test_what_counts_as_near(one: str, other: str, near_each_other: bool) -> None:
    assert near_duplicates([one, other]).tolist() == [False, near_each_other]
    assert near_duplicates([other], taken=[one]).tolist() == [near_each_other]


def test_a_text_near_only_to_one_that_drops_out_stays() -> None:
    chain = [" ".join(f"w{number}" for number in range(start, start + 19)) for start in range(3)]  # 18/20 to the next
    assert near_duplicates(chain).tolist() == [False, True, False]


def test_nothing_in_nothing_out() -> None:
    assert near_duplicates([]).dtype == np.bool_
    assert near_duplicates([], taken=["stop"]).size == 0


@pytest.mark.parametrize("threshold", [Fraction(0), Fraction(-1, 2), Fraction(11, 10)])
def test_an_impossible_threshold_is_refused(threshold: Fraction) -> None:
    with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\]"):
        near_duplicates(["a"], threshold=threshold)

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugin.corpora.demo import demo_corpus
from plugin.corpora.simulate import WslOptions, WslPool, simulate_wsl, summarise
from plugin.corpora.split import Split, SplitError, split_corpus, text_key
from plugin.formats.record import LabelledUtterance, parse_utterance, to_json
from plugin.records import Hypothesis

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)


def row(number: int, text: str = "", partition: str | None = None) -> LabelledUtterance:
    return LabelledUtterance(str(number), "en", text or f"text {number}", Hypothesis("music", "play"), partition)


def split(rows: list[LabelledUtterance], **sizes: int) -> Split:
    return split_corpus(rows, **{"trusted": 2, "dev": 2, "test": 2, "seed": 0, **sizes})


def ids(rows: list[LabelledUtterance]) -> set[str]:
    return {row.id for row in rows}


def test_parts_are_drawn_where_the_corpus_has_none() -> None:
    parts = split([row(number) for number in range(20)], trusted=5, dev=3, test=4)
    sizes = [len(part) for part in (parts.trusted, parts.dev, parts.test, parts.pool)]
    assert sizes == [5, 3, 4, 8]
    assert len(ids([*parts.trusted, *parts.dev, *parts.test, *parts.pool])) == 20


def test_partitions_of_the_corpus_are_kept() -> None:
    rows = [row(number, partition=name) for number, name in enumerate(["train"] * 9 + ["dev"] * 3 + ["test"] * 4)]
    parts = split(rows, dev=1, test=1)
    assert ids(parts.dev) == {"9", "10", "11"}
    assert ids(parts.test) == {"12", "13", "14", "15"}
    assert len(parts.trusted) == 2
    assert len(parts.pool) == 7


def test_no_text_is_in_two_parts_and_the_test_set_stays_whole() -> None:
    rows = [
        *[row(number, partition="train") for number in range(8)],
        row(10, "Text  3", "test"),
        row(11, "text 3", "test"),
        row(12, "text 4", "dev"),
        row(13, "TEXT 3", "dev"),
        row(14, "text 5", "train"),
    ]
    parts = split(rows)
    assert ids(parts.test) == {"10", "11"}
    assert ids(parts.dev) == {"12"}
    assert parts.dropped == {"dev": 1, "train": 3}
    keys = [{text_key(row.text) for row in part} for part in (parts.trusted, parts.dev, parts.test, parts.pool)]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_the_seed_decides_the_draw() -> None:
    rows = [row(number) for number in range(50)]
    assert split(rows, seed=1) == split(rows, seed=1)
    assert split(rows, seed=1).trusted != split(rows, seed=2).trusted


@pytest.mark.parametrize(
    ("rows", "sizes", "message"),
    [
        (5, {"trusted": 9}, "the trusted part is to have 9 utterances, but only 1 are left"),
        (6, {}, "nothing is left for the pool"),
        (1, {}, "the test part"),
    ],
)
def test_a_corpus_that_is_too_small(rows: int, sizes: dict[str, int], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        split([row(number) for number in range(rows)], **sizes)


def test_an_unknown_partition() -> None:
    with pytest.raises(SplitError, match="partition 'validation' of 0 is not one of train, dev, test"):
        split([row(0, partition="validation")])


@pytest.fixture(scope="module")
def demo_split() -> Split:
    return split_corpus(demo_corpus("en", 2000), trusted=300, dev=50, test=50, seed=0)


@pytest.fixture(scope="module")
def pool(demo_split: Split, shared_trainer: Any) -> WslPool:
    return simulate_wsl(demo_split, shared_trainer, WslOptions(UNTIL))


def test_every_utterance_of_the_pool_is_emitted_with_the_models_word(pool: WslPool, demo_split: Split) -> None:
    assert [row.id for row in pool.utterances] == [row.id for row in pool.truth]
    assert ids(pool.truth) == ids(demo_split.pool)
    for utterance, true in zip(pool.utterances, pool.truth, strict=True):
        assert (utterance.text, utterance.locale) == (true.text, true.locale)
        assert utterance.hypothesis is not None
        assert utterance.domain_scores is not None
        assert max(utterance.domain_scores, key=utterance.domain_scores.__getitem__) == utterance.hypothesis.domain
        assert parse_utterance(to_json(utterance)) == utterance
    scores = {utterance.nlu_score for utterance in pool.utterances}
    assert len(scores) > 10


def test_defects_come_at_the_rates_asked_for(pool: WslPool) -> None:
    pairs = list(zip(pool.utterances, pool.truth, strict=True))
    wrong = [row.defect for row, true in pairs if row.hypothesis != true.label]
    right = [row.defect for row, true in pairs if row.hypothesis == true.label]
    assert min(len(wrong), len(right)) > 60
    assert sum(wrong) / len(wrong) == pytest.approx(0.8, abs=0.05)
    assert 0 < sum(right) / len(right) < 0.13


def test_right_and_wrong_hypotheses_have_a_rate_each(demo_split: Split, fake_trainer: Any) -> None:
    found = simulate_wsl(demo_split, fake_trainer, WslOptions(UNTIL, defect_recall=0.0, defect_false_rate=1.0))
    is_right = [row.hypothesis == true.label for row, true in zip(found.utterances, found.truth, strict=True)]
    assert [row.defect for row in found.utterances] == is_right
    assert len(set(is_right)) == 2


def test_the_log_is_spread_over_the_days_before_until(pool: WslPool) -> None:
    times = [row.occurred_at for row in pool.utterances if row.occurred_at]
    assert times == sorted(times)
    assert UNTIL - timedelta(days=30) <= times[0] < UNTIL - timedelta(days=29)
    assert UNTIL - timedelta(days=1) < times[-1] < UNTIL


def test_same_options_same_pool(demo_split: Split, fake_trainer: Any, pool: WslPool) -> None:
    assert simulate_wsl(demo_split, fake_trainer, WslOptions(UNTIL)) == pool
    assert simulate_wsl(demo_split, fake_trainer, WslOptions(UNTIL, seed=1)) != pool


def test_domain_scores_can_be_left_out(demo_split: Split, fake_trainer: Any) -> None:
    bare = simulate_wsl(demo_split, fake_trainer, WslOptions(UNTIL, domain_scores=False))
    assert all(row.domain_scores is None for row in bare.utterances)


def test_summary_counts_what_a_policy_would_leave() -> None:
    truth = [row(number) for number in range(4)]
    guesses = [
        (Hypothesis("music", "play"), 0.5, False),
        (Hypothesis("music", "stop"), 0.5, False),
        (Hypothesis("video", "play"), 0.5, True),
        (Hypothesis("music", "play"), 0.9, False),
    ]
    utterances = [
        parse_utterance(
            {
                "id": true.id,
                "locale": "en",
                "text": true.text,
                "hypothesis": {"domain": guess.domain, "intent": guess.intent},
                "nlu_score": score,
                "defect": defect,
            }
        )
        for true, (guess, score, defect) in zip(truth, guesses, strict=True)
    ]
    summary = summarise(WslPool(utterances, truth))
    assert (summary["utterances"], summary["defects"]) == (4, 1)
    assert (summary["share_wrong"], summary["share_wrong_domain"], summary["share_wrong_intent"]) == (0.5, 0.25, 0.25)
    window = summary["window"]
    assert (window["utterances"], window["share"], window["share_wrong"]) == (2, 0.5, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"until": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"until": UNTIL, "days": 0}, "days"),
        ({"until": UNTIL, "defect_recall": 1.5}, "defect_recall"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WslOptions(**options)

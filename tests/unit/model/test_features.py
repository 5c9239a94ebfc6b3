from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plugin.model.batches import make_batch, prediction_batches, training_batches
from plugin.model.features import Encoded, FeatureTable
from plugin.model.network import resolve_device

TEXTS = ["play halo", "play yellow submarine now", "明天的天气", "halo"]


def table(min_count: int = 1) -> FeatureTable:
    return FeatureTable.build(TEXTS, min_count=min_count, max_tokens=16)


def names(features: FeatureTable, encoded: Encoded, position: int) -> set[str]:
    kind = encoded.types[position]
    rows = encoded.type_features[encoded.type_offsets[kind] : encoded.type_offsets[kind + 1]]
    return {features.names[row] for row in rows}


def test_features_below_the_count_are_left_out() -> None:
    features = table(min_count=2)
    assert "whalo" in features.names
    assert "wsubmarine" not in features.names


def test_all_features_stay_when_none_is_frequent() -> None:
    assert len(FeatureTable.build(["hello"], min_count=5, max_tokens=8)) > 0


def test_case_and_width_do_not_change_a_word_but_are_seen() -> None:
    features = FeatureTable.build(["Halo halo \uff28\uff21\uff2c\uff2f"], min_count=1, max_tokens=8)
    encoded = features.encode(["Halo halo \uff28\uff21\uff2c\uff2f"])
    title, lower, wide = (names(features, encoded, position) for position in range(3))
    assert title - {"sXx"} == lower - {"sx"} == wide - {"sX"}


def test_an_unknown_word_keeps_its_known_n_grams() -> None:
    features = table()
    known = names(features, features.encode(["submarines"]), 0)
    assert "wsubmarines" not in known
    assert "gsubm" in known


def test_an_unspaced_character_sees_its_neighbours() -> None:
    features = table()
    assert "b天|的|天" in names(features, features.encode(["天的天"]), 1)


def test_a_separator_within_a_text_is_a_blank() -> None:
    encoded = table().encode(["天\x1f的", "天\x1f\x1f\x1f"])
    assert encoded.lengths.tolist() == [2, 1]


def test_types_are_shared_and_padding_owns_nothing() -> None:
    encoded = table().encode(["halo halo", "", "play halo"])
    assert encoded.types.tolist() == [1, 1, 2, 1]
    assert encoded.offsets.tolist() == [0, 2, 2, 4]
    assert encoded.type_offsets[:2].tolist() == [0, 0]


def test_a_batch_reads_the_features_of_its_own_utterances() -> None:
    features = table()
    encoded = features.encode(TEXTS)
    batch = make_batch(encoded, np.array([3, 1]), resolve_device("cpu"))
    assert batch.mask.tolist() == [[1, 0, 0, 0], [1, 1, 1, 1]]
    assert batch.tokens[0, 1:].tolist() == [0, 0, 0]
    bag = int(batch.tokens[0, 0])
    first, last = batch.bag_offsets[bag], batch.bag_offsets[bag + 1]
    assert {features.names[row] for row in batch.rows[batch.bags[first:last]]} == names(features, encoded, 12 - 1)
    assert batch.types == len(batch.bag_offsets) - 2


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 16), st.integers(1, 80))
def test_prediction_batches_hold_every_utterance_once_within_bounds(
    lengths: list[int], batch_size: int, max_tokens: int
) -> None:
    batches = prediction_batches(np.array(lengths), batch_size, max_tokens)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= batch_size
        padded = len(batch) * max(1, *(lengths[index] for index in batch))
        assert len(batch) == 1 or padded <= max_tokens


def test_training_batches_waste_little_padding() -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 30, 1000)
    batches = training_batches(lengths, 32, rng)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    assert padded < 1.1 * lengths.sum()

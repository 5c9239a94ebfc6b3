"""Error counts against other people's implementations, against their definitions, and what must always hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from scipy.optimize import linear_sum_assignment
from seqeval.metrics import classification_report, f1_score

from plugin.quality.metrics import METRICS, SLOT_METRICS, DomainPolicy, ErrorCounts, SlotPolicy, count_errors, pool
from plugin.records import Hypothesis, Slot

Pairs = list[tuple[Hypothesis, Hypothesis | None]]
LABELS = ["a", "b", "c"]


# Random labels over a text of 12 places, cut into slots that do not overlap.
@st.composite
def labels(draw: st.DrawFn) -> Hypothesis:
    cuts = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    slots = tuple(Slot(start, end, draw(st.sampled_from(LABELS))) for start, end in spans)
    return Hypothesis(draw(st.sampled_from("DE")), draw(st.sampled_from("ij")), slots)


# Slots that systems should not say but may: overlapping, in any order, the same one twice.
wild_slots = st.builds(Slot, st.integers(0, 2), st.integers(2, 3), st.sampled_from(LABELS))
wild_labels = st.builds(
    Hypothesis, st.sampled_from("DE"), st.sampled_from("ij"), st.lists(wild_slots, max_size=4).map(tuple)
)
complete_pairs = st.lists(st.tuples(labels() | wild_labels, labels() | wild_labels), max_size=12)
pairs = st.lists(st.tuples(labels() | wild_labels, st.none() | labels() | wild_labels), max_size=12)
domain_policies = st.sampled_from(["intent", "all"])
slot_policies = st.sampled_from(["paired", "name"])


def count(pairs: Pairs, domain: DomainPolicy = "intent", slot: SlotPolicy = "paired") -> ErrorCounts:
    return count_errors([a for a, _ in pairs], [b for _, b in pairs], domain_policy=domain, slot_policy=slot)


def left_over(gold: Hypothesis, said: Hypothesis | None, domain: DomainPolicy) -> tuple[list[Slot], list[Slot]]:
    """What does not match on either side."""
    mine, its = Counter(gold.slots), Counter(said.slots if said else ())
    right = Counter[Slot]() if domain == "all" and said and said.domain != gold.domain else mine & its
    return list((mine - right).elements()), list((its - right).elements())


def least_edits(missed: list[Slot], extra: list[Slot], slot: SlotPolicy) -> int:
    """The cheapest way from one set of slots to another: an assignment problem, solved by scipy.

    A slot that stays alone costs 1; a pair costs 1, or 2 where the policy does not let it be a substitution.
    """
    size = len(missed) + len(extra)
    cost = np.zeros((size, size))
    cost[: len(missed), len(extra) :] = 1  # deleted
    cost[len(missed) :, : len(extra)] = 1  # inserted
    for i, gone in enumerate(missed):
        for j, new in enumerate(extra):
            cost[i, j] = 1 if slot == "paired" or gone.label == new.label else 2
    return int(cost[linear_sum_assignment(cost)].sum())


@given(pairs=pairs, domain=domain_policies, slot=slot_policies)
def test_slot_errors_are_the_least_edits(pairs: Pairs, domain: DomainPolicy, slot: SlotPolicy) -> None:
    counts = count(pairs, domain, slot)
    expected = [least_edits(*left_over(gold, said, domain), slot) for gold, said in pairs]
    assert counts.slot_errors.tolist() == expected


@given(pairs=pairs, domain=domain_policies, slot=slot_policies)
def test_utterances_are_counted_one_by_one(pairs: Pairs, domain: DomainPolicy, slot: SlotPolicy) -> None:
    counts = count(pairs, domain, slot)
    assert counts.domain_error.tolist() == [said is None or said.domain != gold.domain for gold, said in pairs]
    assert counts.intent_error.tolist() == [
        said is None or (said.domain, said.intent) != (gold.domain, gold.intent) for gold, said in pairs
    ]
    assert counts.reference.tolist() == [len(gold.slots) for gold, _ in pairs]
    assert counts.hypothesis.tolist() == [len(said.slots) if said else 0 for _, said in pairs]
    both = [Counter(gold.slots) & Counter(said.slots if said else ()) for gold, said in pairs]
    assert counts.matched.tolist() == [matched.total() for matched in both]
    for name, found in counts.slots.by_label().items():
        matched = [sum(slot.label == name for slot in same.elements()) for same in both]
        assert found.per_utterance(found.matched).tolist() == matched


@given(pairs=pairs, domain=domain_policies, slot=slot_policies)
def test_counts_always_add_up(pairs: Pairs, domain: DomainPolicy, slot: SlotPolicy) -> None:
    counts = count(pairs, domain, slot)
    right = counts.reference - counts.deletions - counts.substitutions
    assert (right >= 0).all()
    np.testing.assert_array_equal(right, counts.hypothesis - counts.insertions - counts.substitutions)
    kept = (counts.domain_error == 0) | (domain == "intent")
    np.testing.assert_array_equal(right, np.where(kept, counts.matched, 0))
    assert (counts.intent_error >= counts.domain_error).all()
    assert (counts.errors >= count(pairs).errors).all()  # the default is the most lenient


@given(pairs=pairs.filter(len), domain=domain_policies, slot=slot_policies)
def test_rates_keep_their_order_and_their_range(pairs: Pairs, domain: DomainPolicy, slot: SlotPolicy) -> None:
    rates = count(pairs, domain, slot).rates()
    exact = [said is not None and said.domain == gold.domain and said.intent == gold.intent
             and Counter(said.slots) == Counter(gold.slots) for gold, said in pairs]  # fmt: skip
    assert rates["exact_match"] == pytest.approx(np.mean(exact))
    assert rates["irer"] + rates["exact_match"] == pytest.approx(1.0)
    assert 1.0 >= rates["irer"] >= rates["icer"] >= rates["dcer"] >= 0.0
    assert 0.0 <= rates["f_semer"] < 2.0
    assert rates["semer"] >= 0.0


@given(pairs=complete_pairs.filter(len), domain=domain_policies, slot=slot_policies)
def test_f_semer_is_the_harmonic_mean_of_both_directions(
    pairs: list[tuple[Hypothesis, Hypothesis]], domain: DomainPolicy, slot: SlotPolicy
) -> None:
    there, back = count([*pairs], domain, slot), count([(said, gold) for gold, said in pairs], domain, slot)
    np.testing.assert_array_equal(there.deletions, back.insertions)
    np.testing.assert_array_equal(there.substitutions, back.substitutions)
    a, b = there.rate("semer"), back.rate("semer")
    harmonic = 2 * a * b / (a + b) if a + b else 0.0
    assert there.rate("f_semer") == pytest.approx(harmonic, abs=1e-12)


@given(pairs=complete_pairs)
def test_an_ordered_alignment_never_costs_less(pairs: list[tuple[Hypothesis, Hypothesis]]) -> None:
    """Levenshtein over the slots in the order of the text, as SEMER is computed elsewhere."""
    expected = [levenshtein(tuple(sorted(gold.slots)), tuple(sorted(said.slots))) for gold, said in pairs]
    assert (count([*pairs]).slot_errors <= expected).all()


@cache
def levenshtein(a: tuple[Slot, ...], b: tuple[Slot, ...]) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1, levenshtein(a[1:], b[1:]) + (a[0] != b[0]))


@given(pairs=pairs, values=st.lists(st.sampled_from("xyz"), min_size=12, max_size=12))
def test_slices_sum_to_the_whole_and_pool_back_to_it(pairs: Pairs, values: list[str]) -> None:
    counts = count(pairs)
    for parts in (counts.by_domain(), counts.by(values[: len(pairs)])):
        for metric in METRICS:
            check_sums(counts, list(parts.values()), metric)
        for label, slots in counts.slots.by_label().items():
            inside = [part.slots.by_label()[label] for part in parts.values() if label in part.slots.by_label()]
            assert sum(part.matched.sum() for part in inside) == slots.matched.sum()
            assert sum(part.hypothesis.sum() for part in inside) == slots.hypothesis.sum()
        if parts:
            again = pool(list(parts.values()))
            assert repr(again.rates()) == repr(counts.rates())
            assert repr(again.slots.rates()) == repr(counts.slots.rates())


@given(pairs=pairs, values=st.lists(st.sampled_from("xyz"), min_size=12, max_size=12))
def test_a_slice_is_what_its_mask_picks_to_the_last_entry(pairs: Pairs, values: list[str]) -> None:
    counts, given_ = count(pairs), values[: len(pairs)]
    parts = counts.by(given_)
    assert list(parts) == sorted(set(given_))
    for value, part in parts.items():
        picked = counts.where([other == value for other in given_])
        for ours, theirs in ((part, picked), (part.slots, picked.slots)):
            for field in fields(ours):
                if field.name != "slots":
                    one, other = getattr(ours, field.name), getattr(theirs, field.name)
                    np.testing.assert_array_equal(one, other, err_msg=field.name, strict=isinstance(one, np.ndarray))


def check_sums(whole: ErrorCounts, parts: list[ErrorCounts], metric: str) -> None:
    expected = [side.sum() for side in whole.terms(metric)]  # type: ignore[arg-type]
    found = np.array([[side.sum() for side in part.terms(metric)] for part in parts])  # type: ignore[arg-type]
    assert found.reshape(-1, 2).sum(axis=0).tolist() == expected


@given(pairs=pairs, cut=st.integers(0, 12), domain=domain_policies, slot=slot_policies)
def test_batches_count_like_their_concatenation(pairs: Pairs, cut: int, domain: DomainPolicy, slot: SlotPolicy) -> None:
    whole = pool([count(part, domain, slot) for part in (pairs[:cut], pairs[cut:])])
    expected = count(pairs, domain, slot)
    for metric in METRICS:
        np.testing.assert_array_equal(whole.terms(metric), expected.terms(metric))
    assert whole.slots.by_label().keys() == expected.slots.by_label().keys()
    for label, slots in expected.slots.by_label().items():
        for slot_metric in SLOT_METRICS:
            np.testing.assert_array_equal(whole.slots.by_label()[label].terms(slot_metric), slots.terms(slot_metric))


@given(pairs=pairs, seed=st.integers(0, 99))
def test_neither_the_order_of_slots_nor_that_of_utterances_matters(pairs: Pairs, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turned = [(backwards(gold), said) for gold, said in pairs]
    order = rng.permutation(len(pairs))
    counts, other = count(pairs), count([turned[place] for place in order])
    np.testing.assert_array_equal(counts.errors[order], other.errors)
    assert repr(counts.rates()) == repr(other.rates())


def backwards(label: Hypothesis) -> Hypothesis:
    return Hypothesis(label.domain, label.intent, label.slots[::-1])


@given(pairs=complete_pairs)
def test_values_that_are_all_different_compare_like_spans(pairs: list[tuple[Hypothesis, Hypothesis]]) -> None:
    """Over a text in which every span covers another value, comparing values or spans is the same."""
    texts = ["abcdefghijkl"] * len(pairs)
    gold, said = [a for a, _ in pairs], [b for _, b in pairs]
    by_value, by_span = count_errors(gold, said, texts=(texts, texts)), count([*pairs])
    if all(slot.start < slot.end for label in (*gold, *said) for slot in label.slots):  # empty spans are all alike
        np.testing.assert_array_equal(by_value.errors, by_span.errors)
        np.testing.assert_array_equal(by_value.matched, by_span.matched)


def random_tags(rng: np.random.Generator, length: int) -> list[str]:
    tags: list[str] = []
    while len(tags) < length:
        size = int(rng.integers(1, 4))
        if rng.random() < 0.5:
            tags += ["O"] * size
        else:
            name = str(rng.choice(LABELS))
            tags += [f"B-{name}"] + [f"I-{name}"] * (size - 1)
    return tags[:length]


def disturbed(rng: np.random.Generator, tags: list[str]) -> list[str]:
    """The same slots, some relabelled, dropped, or cut short by their last token; and new ones of one token."""
    out = ["O"] * len(tags)
    for slot in as_label(tags).slots:
        fate = rng.random()
        name = str(rng.choice(LABELS)) if fate < 0.25 else slot.label
        end = slot.end - 1 if fate > 0.75 else slot.end
        if (fate < 0.35 or fate > 0.5) and end > slot.start:
            out[slot.start : end] = [f"B-{name}"] + [f"I-{name}"] * (end - slot.start - 1)
    for place, tag in enumerate(tags):
        if tag == "O" and rng.random() < 0.2:
            out[place] = "B-c"
    return out


def as_label(tags: list[str]) -> Hypothesis:
    slots: list[Slot] = []
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            slots.append(Slot(place, place + 1, tag[2:]))
        elif tag.startswith("I-"):
            slots[-1] = Slot(slots[-1].start, place + 1, slots[-1].label)
    return Hypothesis("d", "i", tuple(slots))


Tags = list[list[str]]


@pytest.fixture(params=range(3))
def tagged(request: pytest.FixtureRequest) -> tuple[Tags, Tags]:
    """400 pairs of IOB sequences: most of them alike but for some mistakes, the others independent."""
    rng = np.random.default_rng(request.param)
    truth = [random_tags(rng, int(rng.integers(1, 15))) for _ in range(400)]
    return truth, [disturbed(rng, tags) if rng.random() < 0.7 else random_tags(rng, len(tags)) for tags in truth]


def test_slots_agree_with_nervaluate_strict(tagged: tuple[Tags, Tags]) -> None:
    truth, said = tagged
    report = Evaluator(truth, said, tags=LABELS, loader="list").evaluate()
    counts = count_errors([as_label(tags) for tags in truth], [as_label(tags) for tags in said])
    strict = report["overall"]["strict"]
    # nervaluate pairs only slots that overlap, so sums with and without a partner are what can be compared.
    assert (counts.substitutions + counts.deletions).sum() == strict.incorrect + strict.missed
    assert (counts.substitutions + counts.insertions).sum() == strict.incorrect + strict.spurious
    labels = counts.slots.by_label()
    assert list(labels) == LABELS
    for found, its in [
        (counts.slots, strict),
        *((labels[name], report["entities"][name]["strict"]) for name in LABELS),
    ]:
        assert found.matched.sum() == its.correct > 50
        assert found.reference.sum() == its.correct + its.incorrect + its.missed
        assert found.hypothesis.sum() == its.correct + its.incorrect + its.spurious
        assert min(its.incorrect, its.missed, its.spurious) > 10
        assert found.rates() == pytest.approx({"precision": its.precision, "recall": its.recall, "f1": its.f1})


def test_slots_agree_with_seqeval(tagged: tuple[Tags, Tags]) -> None:
    truth, said = tagged
    counts = count_errors([as_label(tags) for tags in truth], [as_label(tags) for tags in said])
    report = classification_report(truth, said, output_dict=True)
    assert counts.rate("slot_f1") == pytest.approx(f1_score(truth, said))
    found = {"micro avg": counts.slots, **counts.slots.by_label()}
    assert found.keys() == report.keys() - {"macro avg", "weighted avg"}
    for name, slots in found.items():
        its = report[name]
        assert slots.reference.sum() == its["support"] > 100
        assert slots.rates() == pytest.approx(
            {"precision": its["precision"], "recall": its["recall"], "f1": its["f1-score"]}
        )


def test_a_hundred_thousand_utterances_of_one_domain_are_its_counts() -> None:
    rng = np.random.default_rng(2)
    tags = [random_tags(rng, 8) for _ in range(1000)]
    truth, said = [as_label(some) for some in tags], [as_label(disturbed(rng, some)) for some in tags]
    some, many = count_errors(truth, said), count_errors(truth * 100, said * 100)
    assert len(many.by_domain()["d"]) == 100_000
    assert many.errors.sum() == 100 * some.errors.sum()
    assert many.slots.by_label()["a"].rates() == pytest.approx(some.slots.by_label()["a"].rates())

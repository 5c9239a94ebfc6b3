"""The first step of a run: what it trains and tests on, read once, so that all arms and any replay have the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from db.repositories import examples
from db.repositories.examples import Asked, Labelled
from plugin.records import Arm, Strategy
from plugin.services.evaluation import data
from plugin.services.evaluation.data import Material, WeakDomains, normalise
from plugin.services.evaluation.frozen import Frame, TestRows

# The rarest intents of a test set, as many as together hold no more than this part of it, are its tail.
TAIL_SHARE = 0.2
TAIL, NEW = "tail", "new"


def freeze(session: Session, locale: str, test_set: str, weak_domains: WeakDomains) -> tuple[Frame, dict[str, Any]]:
    """The frame of a run, and what is to be told of it. Raises EvaluationError when a run of this cannot begin."""
    data.read_test_set(session, test_set, locale)
    material = data.read_material(session, locale)
    found = data.everything(session, locale, material, weak_domains)
    dropped = [*material.dropped, *found.dropped]
    tests = {name: store(session, name, locale, rows) for name, rows in named_tests(material, test_set, dropped)}
    control, strategies = by_arm(found.reviewed, material.asked)
    frame = Frame(material.train, material.dev, [*found.reviewed, *found.weak], control, strategies, tests)
    return frame, {
        "reviewed": len(found.reviewed),
        "weak": len(found.weak),
        "suspected": found.suspected,
        "dropped": len(dropped),
        "spared": len(material.spared),
        "test_sets": {name: {"id": test.test_set_id, "size": len(test.rows)} for name, test in tests.items()},
        "shrank": shrank(session, {name: tests[name] for name in material.tests}),
    }


def named_tests(
    material: Material, test_set: str, dropped: Sequence[Labelled]
) -> Iterable[tuple[str, Sequence[Labelled]]]:
    """The run's own test set first; of it its tail, and what is left without texts that were to train; the others."""
    own = material.tests[test_set]
    yield test_set, own
    specials = {part_of(test_set, TAIL): tail(own), part_of(test_set, NEW): without_texts(own, dropped)}
    for name, rows in {**specials, **material.tests}.items():
        if name != test_set and rows and (name in material.tests or len(rows) < len(own)):
            yield name, rows


def part_of(test_set: str, part: str) -> str:
    return f"{test_set}/{part}"


def tail(rows: Sequence[Labelled]) -> list[Labelled]:
    """The utterances of the rarest intents; none where the rarest is not rare."""
    sizes = Counter(row.intent for row in rows)
    rare: set[str] = set()
    left = TAIL_SHARE * len(rows)
    for intent, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        left -= size
        if left < 0:
            break
        rare.add(intent)
    return [row for row in rows if row.intent in rare]


def without_texts(rows: Sequence[Labelled], dropped: Iterable[Labelled]) -> list[Labelled]:
    """A text that was to train, and was dropped for being asked here, is asked of models that may know its like."""
    texts = {normalise(row.text) for row in dropped}
    return [row for row in rows if normalise(row.text) not in texts]


def store(session: Session, name: str, locale: str, rows: Sequence[Labelled]) -> TestRows:
    row = examples.freeze(session, name, locale, data.content_hash(rows), rows)
    texts = [normalise(row.text) for row in rows]
    said: Counter[str] = Counter()
    for text, count in examples.texts_of_the_log(session, locale, sorted(set(texts))):
        said[normalise(text)] += count
    return TestRows(row.id, rows, [max(1, said[text]) for text in texts])


def by_arm(
    reviewed: Sequence[Labelled], asked: Mapping[int, Asked]
) -> tuple[dict[str, list[Labelled]], dict[str, dict[str, list[Labelled]]]]:
    """Control labels by part, and those of each strategy; what a round played at random is as good as control."""
    control: dict[str, list[Labelled]] = defaultdict(list)
    strategies: dict[str, dict[str, list[Labelled]]] = defaultdict(lambda: defaultdict(list))
    for row in reviewed:
        round_ = asked.get(row.utterance_id)
        if round_ is None:
            continue
        by_strategy = Arm.STRATEGY in round_.arms
        if Arm.CONTROL in round_.arms or (by_strategy and round_.strategy == Strategy.RANDOM):
            control[round_.part].append(row)
        if by_strategy and round_.strategy and round_.strategy != Strategy.RANDOM:
            strategies[round_.strategy][round_.part].append(row)
    return dict(control), {name: dict(parts) for name, parts in strategies.items()}


def shrank(session: Session, tests: Mapping[str, TestRows]) -> dict[str, list[int]]:
    """Test set -> its size before and now, where it is smaller: numbers on it do not compare with those before."""
    found = {}
    for name, test in tests.items():
        before = examples.set_before(session, test.test_set_id)
        if before is not None and before.size > len(test.rows):
            found[name] = [before.size, len(test.rows)]
    return found

"""Label sets of training data, and its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from plugin.model.features import Ints
from plugin.records import TrainingExample, Vocabulary


def vocabulary_of(examples: Sequence[TrainingExample]) -> Vocabulary:
    """Every label in `examples`; `intent_domains` has the intents that occur in a single domain."""
    domains: dict[str, set[str]] = {}
    for example in examples:
        domains.setdefault(example.label.intent, set()).add(example.label.domain)
    return Vocabulary(
        domains=tuple(sorted({example.label.domain for example in examples})),
        intents=tuple(sorted(domains)),
        slots=tuple(sorted({slot.label for example in examples for slot in example.label.slots})),
        intent_domains={intent: min(seen) for intent, seen in sorted(domains.items()) if len(seen) == 1},
    )


def pairs_of(examples: Sequence[TrainingExample], vocabulary: Vocabulary) -> Ints:
    """(P, 2) numbers of the domains and intents that occur together, sorted."""
    seen = {(example.label.domain, example.label.intent) for example in examples}
    pairs = [(vocabulary.domains.index(d), vocabulary.intents.index(i)) for d, i in sorted(seen)]
    return np.asarray(pairs, np.int64)


def numbers_of(labels: Sequence[str], known: Sequence[str]) -> Ints:
    """Position of each label in `known`, -1 where it is not there."""
    positions = {label: number for number, label in enumerate(known)}
    return np.asarray([positions.get(label, -1) for label in labels], np.int64)


def canonical_order(examples: Sequence[TrainingExample]) -> list[TrainingExample]:
    """The same examples in the order of their content, so that nothing depends on how they were read."""
    return sorted(examples, key=_line)


def data_hash(examples: Sequence[TrainingExample]) -> str:
    """SHA-256 of the examples' content: ids, locales, texts, labels.

    The order does not count, because training does not depend on it; a repeated example does.
    """
    digest = hashlib.sha256()
    for line in sorted(map(_line, examples)):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _line(example: TrainingExample) -> str:
    label = example.label
    slots = [[slot.start, slot.end, slot.label] for slot in label.slots]
    return json.dumps([example.id, example.locale, example.text, label.domain, label.intent, slots])

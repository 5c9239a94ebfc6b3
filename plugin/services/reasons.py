"""Why an item is in its queue, in one sentence that its annotator reads.

It says what the assistant heard and where our models waver, and nothing of how the item was drawn: a function of what
models said of it alone, worded alike whatever arm and strategy chose it, it cannot tell strategy from control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from db.repositories.queues import PlannedItem
from plugin.quality import scores

SURE = 0.9  # from here on a domain, or an intent, leaves no doubt worth a second name
# The part of the doubt that lies between the models and not within each. Two camps, each four fifths sure: 0.27.
DISAGREEMENT = 0.2
WAVERING_TAG = 0.5  # nats: a word whose slot is more in doubt than one that is four fifths sure
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

Vocabulary = Mapping[str, Sequence[str]]
Probs = NDArray[np.float64]


def sentence(item: PlannedItem, vocabulary: Vocabulary, replicates: int) -> str:
    """The first doubt there is, from the widest to the narrowest: domain, intent, slots."""
    if item.domain_probs is None or item.intent_probs is None:
        return only_heard(item)
    return doubt(item, to_probs(item.domain_probs), to_probs(item.intent_probs), vocabulary, Models(replicates))


def only_heard(item: PlannedItem) -> str:
    """No model of ours has said anything of it, or retention has taken it."""
    sure = item.nlu_score is None or item.nlu_score >= SURE
    return f"The assistant heard {quoted(item.domain)}{'' if sure else ', but was not sure'}."


def doubt(item: PlannedItem, domains: Probs, intents: Probs, vocabulary: Vocabulary, models: Models) -> str:
    domain, rival = likeliest(domains, vocabulary["domains"])
    intent, other_intent = likeliest(intents, vocabulary["intents"])
    if domains.max() < SURE:
        verb = models.disagree if is_split(item, domains) else models.waver
        return f"{models.name} {verb} between {quoted(domain)} and {quoted(rival)}."
    if domain != item.domain:
        return f"The assistant heard {quoted(item.domain)}, but {models.inside} {models.are} sure of {quoted(domain)}."
    if intents.max() < SURE:
        between = f"between the intents {quoted(intent)} and {quoted(other_intent)}"
        return f"{models.name} {models.agree} on {quoted(domain)}, but {models.waver} {between}."
    if intent != item.intent:
        heard = f"heard the intent {quoted(item.intent)}"
        return f"The assistant {heard}, but {models.inside} {models.are} sure of {quoted(intent)}."
    if item.token_entropy_max is not None and item.token_entropy_max >= WAVERING_TAG:
        return f"{models.name} {models.agree} on {quoted(intent)}, but {models.waver} about the slots."
    return f"{models.name} {models.agree} with the assistant on {quoted(intent)}: this one is checked all the same."


def is_split(item: PlannedItem, domains: Probs) -> bool:
    """Whether the models contradict each other, rather than each being in doubt; one model cannot."""
    entropy = scores.entropy(domains[np.newaxis] / domains.sum()).item()
    return item.mutual_information is not None and item.mutual_information >= DISAGREEMENT * entropy > 0.0


def to_probs(stored: bytes) -> Probs:
    """A feature as it is stored: float16."""
    return np.frombuffer(stored, dtype="<f2").astype(np.float64)


def likeliest(probs: Probs, names: Sequence[str]) -> tuple[str, str]:
    """The two likeliest, the likelier first; the same twice where there is only one."""
    order = np.argsort(-probs, kind="stable")
    return names[order[0]], names[order[min(1, len(order) - 1)]]


def quoted(name: str) -> str:
    return f"“{name}”"


class Models:
    """How one speaks of them."""

    def __init__(self, count: int) -> None:
        one = count == 1
        number = NUMBERS[count] if count < len(NUMBERS) else str(count)
        self.inside = "the model" if one else f"the {number} models"
        self.name = self.inside.capitalize()
        self.are = "is" if one else "are"
        self.agree = "agrees" if one else "agree"
        self.waver = "wavers" if one else "waver"
        self.disagree = self.waver if one else "disagree"

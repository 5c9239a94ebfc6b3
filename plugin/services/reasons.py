"""Why an item is in its queue, in one sentence that its annotator reads.

It says what the assistant understood and where our models waver, and nothing of how the item was drawn: worded alike
whatever arm and strategy chose it, it cannot tell strategy from control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from db.repositories.queues import PlannedItem

SURE = 0.9  # from here on a domain, or an intent, leaves no doubt worth a second name


def sentence(item: PlannedItem, vocabulary: Mapping[str, Sequence[str]], replicates: int) -> str:
    """What was understood; then the two domains that the models lean to or, where they are sure of it, the intents."""
    heard = f"The assistant understood {item.domain}"
    if item.nlu_score is not None:
        heard += f" (score {item.nlu_score:.2f})"
    if item.domain_probs is None or item.intent_probs is None:
        return f"{heard}."
    domains = likeliest(item.domain_probs, vocabulary["domains"])
    intents = likeliest(item.intent_probs, vocabulary["intents"])
    who, are, lean = ("one model", "is", "leans") if replicates == 1 else (f"{replicates} models", "are", "lean")
    if domains[0][1] < SURE:
        return f"{heard}; {who} {lean} to {both(domains)}."
    sure = f"{heard}; {who} {are} sure of {said(domains[0])}"
    if intents[0][1] < SURE:
        return f"{sure} and {lean} to the intent {both(intents)}."
    return f"{sure} and of the intent {said(intents[0])}."


def likeliest(stored: bytes, names: Sequence[str]) -> list[tuple[str, float]]:
    """The two likeliest with their probabilities, of a feature as it is stored: float16."""
    probs = np.frombuffer(stored, dtype="<f2").astype(np.float64)
    return [(names[index], float(probs[index])) for index in np.argsort(-probs, kind="stable")[:2]]


def both(two: Sequence[tuple[str, float]]) -> str:
    """The likelier first: `music (48%), then radio (31%)`."""
    return ", then ".join(map(said, two))


def said(one: tuple[str, float]) -> str:
    name, probability = one
    return f"{name} ({probability:.0%})"

"""The names of the controls on the labelling screen: `queues` writes them, `payloads` reads them."""

from __future__ import annotations

UTTERANCE = "utterance"
SLOTS = "slots"
DOMAIN = "domain"
REJECT = "reject"
WHY = "why"  # what "other" means, where that is the reason
NOTE = "note"
REASON = "reason"


def intent_control(domain: str) -> str:
    """Each domain has its own list of intents, shown while the domain is chosen: no pair can contradict itself."""
    return f"intent:{domain}"

"""What the two other kinds of queue look like: second opinions, and the adjudication of those that differ.

One project of each per locale, for all domains. A second opinion is asked on the screen of a review. Who adjudicates
sees both answers, without names and in an order that says nothing; what both have said is filled in, what they differ
on is left open.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from plugin.label_studio.guide import HOW_TO_ADJUDICATE, HOW_TO_REVIEW, ISOLATE, POP
from plugin.label_studio.queues import BY_SCORE, TITLE_CHARACTERS, project_settings
from plugin.label_studio.screen import LabelSet
from plugin.records import Hypothesis

TITLES: Mapping[str, str] = {"second": "second opinions", "adjudication": "adjudication"}
ABOUT: Mapping[str, str] = {
    "second": "A part of what was reviewed, asked once more of somebody else: so it shows how far people agree. "
    "The oldest come first. Nobody is served what they have reviewed themselves.",
    "adjudication": "Utterances that two people have labelled differently. What is said here is their label.",
}
GUIDES: Mapping[str, tuple[str, ...]] = {
    "second": (
        "Somebody else has reviewed these utterances already; what they said is not shown. Judge for yourself.",
    ),
    "adjudication": (
        "Two people have labelled each of these utterances, and not alike. Both answers stand above it.",
        "What both have said is filled in; decide what they differ on.",
        "Neither needs to be right: your label counts, whatever it is.",
    ),
}
HOW_TO: Mapping[str, tuple[str, ...]] = {"second": HOW_TO_REVIEW, "adjudication": HOW_TO_ADJUDICATE}


def name_of(kind: str, domain: str) -> str:
    """By what a queue is marked: its domain, or for the other kinds what no domain is called."""
    return f"*{kind}" if kind in TITLES else domain


def opinion_settings(
    kind: str, locale: str, labels: LabelSet, state: str = "", sampling: str = BY_SCORE
) -> dict[str, Any]:
    description = "\n".join(line for line in (f"{ABOUT[kind]} ({locale})", state) if line)
    about = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in GUIDES[kind])
    settings = project_settings(locale, name_of(kind, "*"), labels, description, sampling)
    return settings | {
        "title": f"Assay · {locale} · {TITLES[kind]}"[:TITLE_CHARACTERS],
        "expert_instruction": about + "".join(HOW_TO[kind]),
    }


def common(one: Hypothesis | None, other: Hypothesis | None) -> Hypothesis | None:
    """What two answers have in common, for the screen: no intent is filled in where they have two."""
    if one is None or other is None or one.domain != other.domain:
        return None
    slots = tuple(slot for slot in one.slots if slot in other.slots)
    return Hypothesis(one.domain, one.intent if one.intent == other.intent else "", slots)


def both_said(one: str, other: str) -> str:
    return f"Two people differ.\nOne says: {one}\nThe other says: {other}"


def said(label: Hypothesis | None, text: str, reject_reason: str | None = None) -> str:
    """An answer in a line: `music, play_song; artist “queen”`. Its words keep their own direction."""
    if label is None:
        return f"it cannot be labelled ({reject_reason})" if reject_reason else "it cannot be labelled"
    slots = ", ".join(f"{slot.label} “{ISOLATE}{text[slot.start : slot.end]}{POP}”" for slot in label.slots)
    return f"{label.domain}, {label.intent}; {slots or 'no slots'}"

"""The guide that Label Studio opens when labelling starts (`expert_instruction`), as HTML.

Label Studio strips scripts and styles and shows lists without their bullets: paragraphs and headings are what is left.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plugin.label_studio.screen import REJECT_KEYS, LabelSet

EXAMPLES = 3
EXAMPLE_CHARACTERS = 80
NAMES = 200
LIMIT_CHARACTERS = 20_000
# A name or an example keeps its own direction, and leaves the words around it theirs.
ISOLATE, POP = "\u2068", "\u2069"


@dataclass(frozen=True, slots=True)
class Guide:
    """What is known of a domain in a locale beside its labels.

    intents  intent -> utterances that people have given it
    slots    slot -> words that people have marked as such
    quality  how well it goes, a sentence each
    """

    intents: Mapping[str, Sequence[str]] = field(default_factory=dict)
    slots: Mapping[str, Sequence[str]] = field(default_factory=dict)
    quality: Sequence[str] = ()


def instruction(domain: str, labels: LabelSet, guide: Guide | None = None) -> str:
    """At most `LIMIT_CHARACTERS`: with as many examples as there is room for, up to three of each."""
    known = guide or Guide()
    for examples in range(EXAMPLES, 0, -1):
        whole = _instruction(domain, labels, known, examples, NAMES)
        if len(whole) <= LIMIT_CHARACTERS:
            return whole
    names = NAMES
    while len(whole := _instruction(domain, labels, known, 0, names)) > LIMIT_CHARACTERS and names:
        names //= 2
    return whole


def _instruction(domain: str, labels: LabelSet, guide: Guide, examples: int, names: int) -> str:
    intents = labels.intents.get(domain, ())
    of_domain = [slot for slot in labels.slots if slot in guide.slots]
    others = [slot for slot in labels.slots if slot not in guide.slots]
    parts = [
        *HOW_TO_REVIEW,
        _heading(f"Intents of {_isolated(domain)}"),
        *_entries(intents, guide.intents, examples, names),
        _heading("Slots") if labels.slots else "",
        *_entries(of_domain, guide.slots, examples, names),
        _paragraph(f"{'Others' if of_domain else 'There are'}: {_listed(others, names)}") if others else "",
        _heading("How well it goes") if guide.quality else "",
        *(_paragraph(html.escape(sentence)) for sentence in guide.quality),
    ]
    return "".join(parts)


def _entries(names: Sequence[str], known: Mapping[str, Sequence[str]], examples: int, most: int) -> list[str]:
    """A line for each name with examples, then those without."""
    shown = [name for name in names[:most] if examples and known.get(name)]
    lines = [
        _paragraph(f"<b>{_isolated(name)}</b>: {' · '.join(map(_isolated, map(_cut, known[name][:examples])))}")
        for name in shown
    ]
    bare = [name for name in names if name not in shown]
    return [*lines, _paragraph(_listed(bare, most, bold=True))] if bare else lines


def _listed(names: Sequence[str], most: int, *, bold: bool = False) -> str:
    form: Callable[[str], str] = (lambda name: f"<b>{_isolated(name)}</b>") if bold else _isolated
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(form, names[:most])) + more


def _cut(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…"


def _isolated(text: str) -> str:
    return f"{ISOLATE}{html.escape(text)}{POP}"


def _paragraph(content: str) -> str:
    return f"<p>{content}</p>"


def _heading(content: str) -> str:
    return f"<br><h4>{content}</h4>"


def _keys(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"<b>{key}</b> {meaning}" for meaning, key in pairs)


FILLED_IN = _paragraph("Domain, intent and slots are filled in as the assistant understood the utterance.")
ACCEPT = _paragraph(
    "<b>Ctrl+Enter</b> accepts: all of it is right. If something is wrong, fix it first; then it is a fix."
)
DECIDE = _paragraph("<b>Ctrl+Enter</b> submits the label as it then stands.")
REJECT = _paragraph(
    f"Reject what cannot be labelled: {_keys((str(reason), key) for reason, key in REJECT_KEYS.items())}."
)
NOTHING_FILLED_IN = _paragraph(
    "Now and then nothing is filled in, on purpose: label these yourself, from the beginning."
)
KEYS = _heading("Keys")
KEYS_OF_SLOTS = _paragraph(
    "The key of a label stands beside it. <b>Alt+.</b> goes from slot to slot: then a label's key changes the slot,"
    " <b>Backspace</b> removes it, <b>Escape</b> leaves it. To mark a new slot, press its key, then double-click"
    " the word or drag over the words."
)
KEYS_OF_TASKS = _paragraph("<b>Ctrl+Z</b> takes back, <b>Ctrl+Space</b> skips, <b>Escape</b> closes this guide.")

HOW_TO_REVIEW = (FILLED_IN, ACCEPT, REJECT, NOTHING_FILLED_IN, KEYS, KEYS_OF_SLOTS, KEYS_OF_TASKS)
HOW_TO_ADJUDICATE = (DECIDE, REJECT, KEYS, KEYS_OF_SLOTS, KEYS_OF_TASKS)

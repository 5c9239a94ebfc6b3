"""The labelling screen of a queue: Label Studio's configuration XML, its shortcuts, and the guide shown before work."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from plugin.label_studio.controls import (
    DOMAIN,
    NOTE,
    REASON,
    SLOTS,
    UTTERANCE,
    VERDICT,
    intent_control,
)
from plugin.records import Hypothesis, Verdict

MARKER_CLASS = "assay-queue"
RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku", "ps", "sd", "ug", "ur", "yi"})
WITHOUT_SPACES = frozenset({"bo", "dz", "ja", "km", "lo", "my", "th", "wuu", "yue", "zh"})

VERDICT_KEYS = {Verdict.ACCEPT: "1", Verdict.FIX: "2", Verdict.REJECT: "3"}
# Label Studio's own shortcuts for text all hold Ctrl or Alt.
LETTERS = "qwertyuiopasdfghjklzxcvbnm"
SINGLE_KEYS = (*"4567890", *LETTERS)
SHIFTED_KEYS = tuple(f"shift+{letter}" for letter in LETTERS)

STYLE = """
.assay-queue { max-width: 64rem; }
.assay-reason textarea, .assay-reason p { color: var(--color-neutral-content-subtle, #666); }
.assay-utterance { margin: 0.5rem 0 1rem; }
.assay-utterance * { font-size: 1.3rem; line-height: 2.2; }
"""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """What a person can choose. The order is the order on the screen."""

    intents: Mapping[str, Sequence[str]]  # domain -> its intents
    slots: Sequence[str]

    def __post_init__(self) -> None:
        for kind, names in (("domain", list(self.intents)), ("slot", self.slots), *self._intent_lists()):
            for name in names:
                problem = domain_problem(name) if kind == "domain" else name_problem(name)
                if problem:
                    raise ValueError(f"{kind} {name!r}: {problem}")
            if len(set(names)) != len(names):
                raise ValueError(f"{kind}: a name stands twice in {sorted(names)}")

    def knows_intent(self, label: Hypothesis) -> bool:
        return label.intent in self.intents.get(label.domain, ())

    def _intent_lists(self) -> Iterator[tuple[str, Sequence[str]]]:
        return ((f"intent of {domain}", intents) for domain, intents in self.intents.items())


def name_problem(name: str) -> str | None:
    """Why Label Studio cannot show an intent or a slot label of this name. Joiners and their like it shows well."""
    if not name.strip() or name != name.strip() or name.startswith("$"):
        return "a name must not be empty, padded with spaces, or begin with $"
    categories = {unicodedata.category(character) for character in name}
    if any(category.startswith("C") and category != "Cf" for category in categories):
        return "a name must not hold control characters"
    return None


def domain_problem(name: str) -> str | None:
    return "a domain's name must not hold a comma: Label Studio reads it as two" if "," in name else name_problem(name)


def queue_marker(locale: str, domain: str) -> str:
    """How Assay knows its own project among those of the same title."""
    return f"{MARKER_CLASS}:{locale}:{domain}"


def has_marker(label_config: str, marker: str) -> bool:
    try:
        # Label Studio parsed this very text before it kept it.
        return ET.fromstring(label_config).get("idAttr") == marker  # noqa: S314
    except ET.ParseError:
        return False


def label_config(locale: str, domain: str, labels: LabelSet) -> str:
    """The configuration of the queue of `domain`; its own intents get the handiest shortcuts."""
    keys = shortcuts(domain, labels)
    view = ET.Element("View", {"className": MARKER_CLASS, "idAttr": queue_marker(locale, domain)})
    ET.SubElement(view, "Style").text = STYLE
    reason = ET.SubElement(view, "View", {"className": "assay-reason"})
    _text_area(reason, REASON, editable="false", showSubmitButton="false")
    _utterance(view, locale)
    _slots(view, labels, keys)
    _choices(view, DOMAIN, "Domain", {name: keys.get((DOMAIN, name)) for name in labels.intents})
    for name, intents in labels.intents.items():
        shown_with = {"visibleWhen": "choice-selected", "whenTagName": DOMAIN, "whenChoiceValue": name}
        box = ET.SubElement(view, "View", shown_with)
        _choices(
            box,
            intent_control(name),
            "Intent",
            {intent: keys.get((name, intent)) for intent in intents},
            **shown_with,
        )
    _choices(view, VERDICT, "Verdict", {str(verdict): key for verdict, key in VERDICT_KEYS.items()})
    _text_area(view, NOTE, placeholder="Note (optional; for reject, say why)")
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")


def shortcuts(domain: str, labels: LabelSet) -> dict[tuple[str, str], str]:
    """(kind, name) -> key, each key once. The kind of an intent is its domain.

    The queue's own intents, then slots, get single keys; domains get Shift and a letter; what is left serves the
    other slots and intents. Names beyond the supply are reached with Tab and the arrows.
    """
    handy = [
        *((domain, intent) for intent in labels.intents.get(domain, ())),
        *((SLOTS, slot) for slot in labels.slots),
    ]
    domains = [(DOMAIN, name) for name in labels.intents]
    others = [(name, intent) for name, intents in labels.intents.items() if name != domain for intent in intents]
    keys = dict(zip(handy, SINGLE_KEYS, strict=False)) | dict(zip(domains, SHIFTED_KEYS, strict=False))
    left = [key for key in (*SINGLE_KEYS, *SHIFTED_KEYS) if key not in keys.values()]
    wanted = [name for name in (*handy, *domains, *others) if name not in keys]
    return keys | dict(zip(wanted, left, strict=False))


def instruction(domain: str, labels: LabelSet) -> str:
    """The guide that opens when labelling starts, as HTML."""
    intents = ", ".join(html.escape(intent) for intent in labels.intents.get(domain, ()))
    return (
        "<p>Each utterance shows what the assistant understood: domain, intent and slots are filled in.</p>"
        "<p><b>1 accept</b>: all of it is right.<br>"
        "<b>2 fix</b>: you have corrected what was wrong.<br>"
        "<b>3 reject</b>: it cannot be labelled (not an utterance, another language, unintelligible); say why.</p>"
        "<p><b>Ctrl+Enter</b> submits, <b>Ctrl+Space</b> skips. The other keys stand beside their labels: press a "
        "slot's key, then mark its words; to remove a slot, click it and press Backspace.</p>"
        f"<p>Intents of {html.escape(domain)}: {intents}</p>"
    )


def _slots(view: ET.Element, labels: LabelSet, keys: Mapping[tuple[str, str], str]) -> None:
    control = ET.SubElement(view, "Labels", {"name": SLOTS, "toName": UTTERANCE, "showInline": "true"})
    for name in labels.slots:
        ET.SubElement(control, "Label", _option(name, keys.get((SLOTS, name))))


def _utterance(view: ET.Element, locale: str) -> None:
    language = locale.replace("_", "-").split("-")[0].lower()
    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    box = ET.SubElement(view, "View", {"className": "assay-utterance", "style": f"direction: {direction}"})
    granularity = "symbol" if language in WITHOUT_SPACES else "word"
    ET.SubElement(box, "Text", {"name": UTTERANCE, "value": "$text", "granularity": granularity})


def _choices(view: ET.Element, name: str, title: str, options: Mapping[str, str | None], **more: str) -> None:
    ET.SubElement(view, "Header", {"value": title, "size": "5"})
    attributes = {
        "name": name,
        "toName": UTTERANCE,
        "choice": "single-radio",
        "showInline": "true",
        "required": "true",
        "requiredMessage": f"Please choose: {title.lower()}",
    }
    control = ET.SubElement(view, "Choices", attributes | more)
    for option, key in options.items():
        ET.SubElement(control, "Choice", _option(option, key))


def _text_area(view: ET.Element, name: str, **more: str) -> None:
    ET.SubElement(view, "TextArea", {"name": name, "toName": UTTERANCE, "maxSubmissions": "1", "rows": "1"} | more)


def _option(value: str, key: str | None) -> dict[str, str]:
    return {"value": value} | ({"hotkey": key} if key else {})

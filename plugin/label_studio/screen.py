"""The labelling screen of a queue: Label Studio's configuration XML and its shortcuts.

There is no control for accept or fix: to submit what is filled in is to accept it, to submit something else is to fix
it. So accepting is one key (Ctrl+Enter), nobody says one thing and does another, and a blind item is no other screen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from plugin.label_studio.controls import (
    DOMAIN,
    NOTE,
    REASON,
    REJECT,
    SLOTS,
    UTTERANCE,
    WHY,
    intent_control,
)
from plugin.records import Hypothesis, RejectReason

MARKER_CLASS = "assay-queue"
RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku", "ps", "sd", "ug", "ur", "yi"})
WITHOUT_SPACES = frozenset({"bo", "dz", "ja", "km", "lo", "my", "th", "wuu", "yue", "zh"})

# Side by side, and the same in every queue.
REJECT_KEYS = dict(zip(RejectReason, "zxcvb", strict=True))
# Label Studio's own shortcuts for text all hold Ctrl or Alt, but for u: it unselects.
SINGLE_KEYS = (*"1234567890", *"qwertyiopasdfghjklnm")
SHIFTED_KEYS = tuple(f"shift+{letter}" for letter in "qwertyuiopasdfghjklzxcvbnm")

# The form is where a reason would be typed in: an empty box where there is none.
STYLE = """
.assay-queue { max-width: 64rem; }
.assay-reason form { display: none; }
.assay-reason p { color: var(--color-neutral-content-subtle, #666); margin: 0; }
.assay-utterance { margin: 0.5rem 0 1rem; }
.assay-utterance * { font-size: 1.3rem; line-height: 2.2; }
.assay-reject { margin-top: 1.5rem; padding-top: 0.25rem; border-top: 1px solid var(--color-neutral-border, #ddd); }
.assay-hint { color: var(--color-neutral-content-subtle, #666); margin-top: 1rem; }
.assay-hint * { font-size: 0.875rem; font-weight: normal; }
"""
# In place of the reason. Without it, an empty screen looks like a mistake.
BLIND = "Nothing is filled in here, on purpose: please label it yourself."
HINT = "Ctrl+Enter submits: as it is, if all of it is right, or as you have corrected it. Ctrl+Space skips."


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
    _label(ET.SubElement(view, "View", _when(REJECT, is_chosen=False)), labels, keys)
    _reject(ET.SubElement(view, "View", {"className": "assay-reject"}))
    hint = ET.SubElement(view, "View", {"className": "assay-hint"})
    ET.SubElement(hint, "Header", {"value": HINT, "size": "6"})
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")


def _label(view: ET.Element, labels: LabelSet, keys: Mapping[tuple[str, str], str]) -> None:
    """Hidden, and none of it required, as long as the utterance is rejected."""
    _slots(view, labels, keys)
    _choices(
        view,
        DOMAIN,
        "Domain",
        {name: keys.get((DOMAIN, name)) for name in labels.intents},
        **_required("Please choose a domain."),
    )
    for name, intents in labels.intents.items():
        shown_with = _when(DOMAIN, name)
        options = {intent: keys.get((name, intent)) for intent in intents}
        box = ET.SubElement(view, "View", shown_with)
        _choices(box, intent_control(name), "Intent", options, **_required("Please choose an intent."), **shown_with)


def _reject(view: ET.Element) -> None:
    """A choice that a second press takes back."""
    options = {str(reason): key for reason, key in REJECT_KEYS.items()}
    _choices(view, REJECT, "Or reject, because it is", options, choice="single")
    other = str(RejectReason.OTHER)
    why = ET.SubElement(view, "View", _when(REJECT, other))
    _text_area(why, WHY, placeholder="Why? (Enter takes it)", **_required("Please say why."))
    _text_area(ET.SubElement(view, "View", _when(REJECT, other, is_chosen=False)), NOTE, placeholder="Note (optional)")


def shortcuts(domain: str, labels: LabelSet) -> dict[tuple[str, str], str]:
    """(kind, name) -> key, each key once, and none of those that reject. The kind of an intent is its domain.

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


def _slots(view: ET.Element, labels: LabelSet, keys: Mapping[tuple[str, str], str]) -> None:
    if not labels.slots:  # Label Studio refuses a control without a label
        return
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
    attributes = {"name": name, "toName": UTTERANCE, "choice": "single-radio", "showInline": "true"}
    control = ET.SubElement(view, "Choices", attributes | more)
    for option, key in options.items():
        ET.SubElement(control, "Choice", _option(option, key))


def _text_area(view: ET.Element, name: str, **more: str) -> None:
    ET.SubElement(view, "TextArea", {"name": name, "toName": UTTERANCE, "maxSubmissions": "1", "rows": "1"} | more)


def _when(control: str, value: str | None = None, *, is_chosen: bool = True) -> dict[str, str]:
    """Shown while a value, or any, is chosen there; or while it is not."""
    shown = {"visibleWhen": "choice-selected" if is_chosen else "choice-unselected", "whenTagName": control}
    return shown if value is None else shown | {"whenChoiceValue": value}


def _required(message: str) -> dict[str, str]:
    return {"required": "true", "requiredMessage": message}


def _option(value: str, key: str | None) -> dict[str, str]:
    return {"value": value} | ({"hotkey": key} if key else {})

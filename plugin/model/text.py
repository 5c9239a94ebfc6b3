"""Cuts an utterance into tokens that know where they came from.

A token is a run of letters and digits with their marks, a single sign (punctuation, emoji), or, in scripts
written without spaces, one character with its marks: a slot may begin anywhere there, and no dictionary is
needed. Case, script and spelling never change the cut, so spans are exact code-point offsets into `text`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from plugin.records import Slot

_UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "YI")
_JOINERS = ("\u200c", "\u200d")  # shape letters of Persian and Indic words; glue emoji
_TOKEN = re.compile(r"um*|[wm]+|sm*")


class _CharacterClasses(dict[int, str]):
    """For `str.translate`: w letter or digit, u unspaced letter, m mark, s sign, blank everything unseen."""

    def __missing__(self, code_point: int) -> str:
        char = chr(code_point)
        category = unicodedata.category(char)
        if category[0] == "M" or char in _JOINERS:
            kind = "m"
        elif category[0] in "ZC":
            kind = " "
        elif category[0] in "LN":
            kind = "u" if unicodedata.name(char, "").startswith(_UNSPACED_SCRIPTS) else "w"
        else:
            kind = "s"
        self[code_point] = kind
        return kind


_CLASSES = _CharacterClasses()


def token_spans(text: str, limit: int | None = None) -> list[tuple[int, int]]:
    """Half-open code-point spans of the first `limit` tokens of `text`, in order and without overlap."""
    spans = [match.span() for match in _TOKEN.finditer(text.translate(_CLASSES))]
    return spans if limit is None else spans[:limit]


def is_unspaced(token: str) -> bool:
    """Whether `token` is one character of a script that writes no spaces between words."""
    return _CLASSES[ord(token[0])] == "u"


def plain(text: str) -> str:
    """`text` with every blank and control character as a space."""
    return "".join(" " if _CLASSES[ord(char)] == " " else char for char in text)


def bio_tags(spans: Sequence[tuple[int, int]], slots: Sequence[Slot], labels: dict[str, int]) -> list[int]:
    """Tag of each token: 0 outside, `1 + 2s` begins slot label `s`, `2 + 2s` continues it.

    A slot that cuts through a token takes the whole token; the first of two slots on one token keeps it.
    Labels that are not in `labels` are left outside.
    """
    tags = [0] * len(spans)
    for slot in slots:
        number = labels.get(slot.label)
        if number is None:
            continue
        begin = True
        for position, (start, end) in enumerate(spans):
            if start < slot.end and slot.start < end and tags[position] == 0:
                tags[position] = 1 + 2 * number if begin else 2 + 2 * number
                begin = False
    return tags


def slots_of_tags(tags: Sequence[int], spans: Sequence[tuple[int, int]], labels: Sequence[str]) -> tuple[Slot, ...]:
    """Slots of a BIO tag sequence, the inverse of `bio_tags`; a continuation without a beginning begins one."""
    slots: list[Slot] = []
    previous = 0
    for tag, (start, end) in zip(tags, spans, strict=True):
        if tag:
            label = labels[(tag - 1) // 2]
            continues = tag % 2 == 0 and previous in (tag, tag - 1)
            if continues:
                slots[-1] = Slot(slots[-1].start, end, label)
            else:
                slots.append(Slot(start, end, label))
        previous = tag
    return tuple(slots)

"""Cuts an utterance into tokens that know where they came from.

A token is a run of letters and digits with their marks, a single sign (punctuation, emoji), or, in scripts
written without spaces, one character with its marks: a slot may begin anywhere there, and no dictionary is
needed. Case, script and spelling never change the cut, so spans are exact code-point offsets into `text`.
"""

from __future__ import annotations

import re
import unicodedata

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

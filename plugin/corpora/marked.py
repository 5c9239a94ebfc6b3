"""Text whose characters know which slot they belong to, so that spans survive every edit."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Self

from plugin.records import Slot

NO_SLOT = -1

# A speech recogniser writes words, not sentences; percent and degree signs and apostrophes stay. Spelt-out
# numbers come with soft hyphens and zero-width spaces.
_PUNCTUATION = frozenset("?!¿¡,;。、？！،؟\u00ad\u200b")
_SHORTEST_TO_MISSPELL = 4


class MarkedText:
    """`marks[i]` is the number of the slot that character i belongs to, or NO_SLOT."""

    def __init__(self) -> None:
        self.characters: list[str] = []
        self.marks: list[int] = []
        self.labels: list[str] = []

    def open_slot(self, label: str) -> int:
        self.labels.append(label)
        return len(self.labels) - 1

    def write(self, text: str, mark: int = NO_SLOT) -> None:
        self.characters += text
        self.marks += [mark] * len(text)

    @property
    def text(self) -> str:
        return "".join(self.characters)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Spans from the first to the last character of each slot that is not white space."""
        spans: dict[int, tuple[int, int]] = {}
        for index, (character, mark) in enumerate(zip(self.characters, self.marks, strict=True)):
            if mark != NO_SLOT and not character.isspace():
                spans[mark] = (spans.get(mark, (index, index))[0], index + 1)
        return tuple(sorted(Slot(start, end, self.labels[mark]) for mark, (start, end) in spans.items()))

    def tidied(self) -> MarkedText:
        """Lower case, no punctuation, single spaces, none at the ends."""
        tidy = self._emptied()
        for character, mark in zip(self.characters, self.marks, strict=True):
            if character in _PUNCTUATION:
                continue
            if not character.isspace():
                tidy.write(character.lower(), mark)
            elif tidy.characters and tidy.characters[-1] != " ":
                tidy.write(" ", mark)
        if tidy.characters and tidy.characters[-1] == " ":
            del tidy.characters[-1], tidy.marks[-1]
        return tidy

    def words(self) -> list[range]:
        """The index range of each run of characters between spaces."""
        runs = groupby(range(len(self.characters)), key=lambda index: self.characters[index] == " ")
        indexes = [list(run) for is_space, run in runs if not is_space]
        return [range(run[0], run[-1] + 1) for run in indexes]

    def replaced(self, where: range, characters: str, marks: list[int]) -> MarkedText:
        edited = self._emptied()
        edited.characters = [*self.characters[: where.start], *characters, *self.characters[where.stop :]]
        edited.marks = [*self.marks[: where.start], *marks, *self.marks[where.stop :]]
        return edited

    def _emptied(self) -> Self:
        empty = type(self)()
        empty.labels = self.labels
        return empty


def roughen(marked: MarkedText, random_: random.Random) -> MarkedText:
    """One mistake of a speech recogniser: two words run together, a word said twice, or spelt wrong."""
    mistake: Callable[[MarkedText, random.Random], MarkedText] = random_.choice([_join, _repeat, _misspell])
    return mistake(marked, random_).tidied()


def _join(marked: MarkedText, random_: random.Random) -> MarkedText:
    """Two words become one, unless a slot begins or ends between them."""
    words = marked.words()
    gaps = [
        range(left.stop, right.start)
        for left, right in pairwise(words)
        if marked.marks[left.stop - 1] == marked.marks[right.start]
    ]
    return marked.replaced(random_.choice(gaps), "", []) if gaps else marked


def _repeat(marked: MarkedText, random_: random.Random) -> MarkedText:
    word = random_.choice(marked.words())
    characters = "".join(marked.characters[word.start : word.stop])
    marks = marked.marks[word.start : word.stop]
    between = marks[-1] if marks[0] == marks[-1] else NO_SLOT
    if len(set(marks)) > 1:
        return marked  # part of the word is a slot, and a copy would tear it in two
    return marked.replaced(word, f"{characters} {characters}", [*marks, between, *marks])


def _misspell(marked: MarkedText, random_: random.Random) -> MarkedText:
    """Leave out, double or swap a letter inside a word."""
    long = [word for word in marked.words() if len(word) >= _SHORTEST_TO_MISSPELL]
    if not long:
        return marked
    word = random_.choice(long)
    place = random_.randrange(word.start + 1, word.stop - 1)
    letter, mark = marked.characters[place], marked.marks[place]
    after, mark_after = marked.characters[place + 1], marked.marks[place + 1]
    kind = random_.choice(["leave out", "double", "swap"])
    if kind == "leave out" and mark == mark_after:
        return marked.replaced(range(place, place + 1), "", [])
    if kind == "swap" and mark == mark_after:
        return marked.replaced(range(place, place + 2), after + letter, [mark_after, mark])
    return marked.replaced(range(place, place + 1), letter * 2, [mark, mark])

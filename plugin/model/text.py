"""BIO tags: slots as one number for each token, and back."""

from __future__ import annotations

from collections.abc import Sequence

from plugin.records import Slot


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

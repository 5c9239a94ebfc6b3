"""Whether people accept more of what is filled in than they would say themselves: the bias of pre-filling.

Who is blind is drawn at random within a round, so the accept rates differ by what was shown, and by chance.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy.orm import Session

from db.repositories import reviews
from plugin.quality.inference import Interval
from plugin.quality.proportions import difference_interval, share_interval
from plugin.records import Verdict


def by_locale(session: Session) -> list[dict[str, Any]]:
    """Of each locale with reviews of both kinds: the share that was accepted, filled in and blind, and by how much the
    first exceeds the second.
    """
    counts: dict[str, dict[bool, dict[str, int]]] = {}
    for locale, blind, verdict, count in reviews.showings(session):
        counts.setdefault(locale, {False: {}, True: {}})[blind][verdict] = count
    return [line(locale, shown[False], shown[True]) for locale, shown in counts.items() if shown[False] and shown[True]]


def line(locale: str, prefilled: dict[str, int], blind: dict[str, int]) -> dict[str, Any]:
    pairs = [(shown.get(Verdict.ACCEPT.value, 0), sum(shown.values())) for shown in (prefilled, blind)]
    return {
        "locale": locale,
        "prefilled": values(share_interval(*pairs[0])),
        "blind": values(share_interval(*pairs[1])),
        "difference": values(difference_interval(*pairs)),
    }


def values(interval: Interval) -> dict[str, Any]:
    value = None if math.isnan(interval.value) else interval.value
    return {"value": value, "ci_low": interval.low, "ci_high": interval.high, "n": interval.n}

"""Numbers as people read them: signs, one decimal of a per cent, ranges."""

from __future__ import annotations

import math

from plugin.experiment.analysis.curves import LabelsSaved
from plugin.experiment.analysis.intervals import Change
from plugin.quality.metrics import HIGHER_IS_BETTER

MINUS, DASH, ELLIPSIS = "−", "–", "…"
SPACE = "\u00a0"  # does not break
NONE = DASH

METRIC_NAMES = {"f_semer": "F-SEMER", "slot_f1": "Slot F1", "exact_match": "Exact match"}
PLAIN_NAMES = {"dcer": "domain errors", "semer": "semantic errors", "icer": "intent errors", "irer": "wrong utterances"}


def metric_name(metric: str, *, arrow: bool = False) -> str:
    """The metric's name; with an arrow, which way is better.

    >>> metric_name("dcer"), metric_name("slot_f1", arrow=True)
    ('DCER', 'Slot F1 ↑')
    """
    name = METRIC_NAMES.get(metric, metric.upper())
    return f"{name} {'↑' if metric in HIGHER_IS_BETTER else '↓'}" if arrow else name


def percent(fraction: float | None, *, decimals: int = 1, sign: bool = False, unit: bool = True) -> str:
    """A fraction in per cent; what rounds to zero has no sign.

    >>> percent(-0.0688, sign=True), percent(0.1), percent(None), percent(-0.0001, sign=True)
    ('−6.9\\xa0%', '10.0\\xa0%', '–', '0.0\\xa0%')
    """
    if fraction is None or math.isnan(fraction):
        return NONE
    if math.isinf(fraction):
        return f"{MINUS if fraction < 0 else ''}∞"
    rounded = round(100.0 * fraction, decimals) + 0.0
    digits = f"{abs(rounded):.{decimals}f}"
    mark = MINUS if rounded < 0 else "+" if sign and rounded > 0 else ""
    return f"{mark}{digits}{SPACE + '%' if unit else ''}"


def budget(fraction: float) -> str:
    """A budget, without needless decimals.

    >>> budget(0.1), budget(0.125)
    ('10\\xa0%', '12.5\\xa0%')
    """
    return f"{100.0 * fraction:g}{SPACE}%"


def spread(low: float | None, high: float | None, *, decimals: int = 1, sign: bool = True) -> str:
    """An interval in per cent, empty where there is none.

    >>> spread(-0.076, -0.063), spread(None, None)
    ('−7.6 … −6.3', '')
    """
    if low is None or high is None:
        return ""
    ends = [percent(end, decimals=decimals, sign=sign, unit=False) for end in (low, high)]
    return f" {ELLIPSIS} ".join(ends)


def change(found: Change | None) -> str:
    return percent(found.value, sign=True) if found else NONE


def change_spread(found: Change | None) -> str:
    return spread(found.low, found.high) if found else ""


def p_value(p: float | None) -> str:
    """Enough digits to see on which side of 0.05 it is, and no more.

    >>> p_value(0.0319), p_value(0.00195), p_value(0.0004), p_value(None), p_value(1.0)
    ('0.032', '0.002', '< 0.001', '–', '1.00')
    """
    if p is None or math.isnan(p):
        return NONE
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def saved(found: LabelsSaved | None) -> str:
    """The share of labels saved, with a sign for what random's curve could not tell."""
    if found is None:
        return NONE
    if found.worse_than_nothing:
        return "worse than none"
    text = percent(found.saved, decimals=0, sign=found.saved < 0)
    return f"≥{SPACE}{text}" if found.at_least else text


def saved_spread(found: LabelsSaved | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ""
    if math.isinf(found.high):
        return ""
    low = "worse than none" if math.isinf(found.low) else percent(found.low, decimals=0, unit=False)
    high = percent(found.high, decimals=0, unit=False)
    return f"{low} {ELLIPSIS} {'≥' + SPACE if found.high_at_least else ''}{high}"


def quantity(value: float | None, unit: str = "") -> str:
    """Three digits at most, for seconds and megabytes.

    >>> quantity(0.01234, "s"), quantity(12.3), quantity(1234.5, "MB"), quantity(0.0), quantity(None)
    ('0.012\\xa0s', '12', '1,234\\xa0MB', '0', '–')
    """
    if value is None or math.isnan(value):
        return NONE
    size = abs(value)
    text = f"{value:,.0f}" if size >= 10 or size == 0 else f"{value:.1f}" if size >= 1 else f"{value:.2g}"
    return f"{text}{SPACE}{unit}" if unit and value else text


def count(number: float, word: str, words: str | None = None) -> str:
    """A number with its word.

    >>> count(1, "seed"), count(1200, "trial")
    ('1\\xa0seed', '1,200\\xa0trials')
    """
    return f"{number:,.0f}{SPACE}{word if number == 1 else words or word + 's'}"


def listed(words: list[str]) -> str:
    """Words in a sentence.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

"""Colours of figures and page, for light and for dark. Series are told apart by shape and label as well.

The series are Okabe and Ito's, darkened for white and lightened for black: distinct under the common kinds of
colour blindness. Figures are drawn in the light ones; a style sheet that is laid over them swaps in the dark.
"""

from __future__ import annotations

from collections.abc import Sequence

INK, MUTED, GRID, PAPER, BAND = "#1a2230", "#5a6576", "#e3e7ee", "#ffffff", "#c9d0da"
DARK = {INK: "#e8ecf3", MUTED: "#9aa6b8", GRID: "#2b3442", PAPER: "#12161d", BAND: "#465062"}
SERIES = {
    "#0067a8": "#5ab4f0",  # blue
    "#c8500a": "#ff9350",  # vermilion
    "#008a64": "#35c79c",  # green
    "#a8438a": "#e79aca",  # purple
    "#8a6a00": "#e3c04a",  # yellow
    "#5b5fc7": "#a3a7ff",  # violet
    "#3f7f8c": "#7fd0de",  # teal
}
SHAPES = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "circle")
KNOWN = ("default", "entropy", "el2n-10-90", "el2n-hard")  # always in the same colour, in every report


def styles(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Arm -> colour and shape; random is grey. Arms beyond the palette share its colours.

    >>> found = styles(["entropy", "default", "other"])
    >>> found["default"][1], found["entropy"][1], found["other"][1], found["random"][0] == MUTED
    ('circle', 'square', 'triangle-down', True)
    """
    palette = list(zip(SERIES, SHAPES, strict=True))
    free = palette[len(KNOWN) :]
    others = [arm for arm in arms if arm not in KNOWN and arm != "random"]
    found = {arm: palette[KNOWN.index(arm)] for arm in arms if arm in KNOWN}
    found |= {arm: free[number % len(free)] for number, arm in enumerate(others)}
    return found | {"random": (MUTED, "circle")}


def swap_to_dark(selector: str = "") -> str:
    """CSS that recolours figures; `selector` limits it to those of a page.

    >>> 'svg [fill="#1a2230"]{fill:#e8ecf3}' in swap_to_dark("svg ")
    True
    """
    pairs = {**DARK, **SERIES}
    rules = [
        f'{selector}[{part}="{light}"]{{{part}:{dark}}}' for light, dark in pairs.items() for part in ("fill", "stroke")
    ]
    return "".join(rules)

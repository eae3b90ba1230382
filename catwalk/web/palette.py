"""Every colour of Catwalk's pages and figures, in the light and in the dark scheme. Plain constants: no matplotlib."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """A colour in both schemes, as ``#rrggbb``."""

    light: str
    dark: str


PAGE = Colour("#f6f8fa", "#0d1117")
CARD = Colour("#ffffff", "#161b22")
"""The background of cards and figures, on the page."""
SHADE = Colour("#eef2f5", "#21262d")
"""The background of code."""
LINE = Colour("#d3d9df", "#3d444d")
INK = Colour("#24292f", "#e6edf3")
QUIET = Colour("#5d6670", "#a3adb8")
"""Secondary text."""
GOOD = Colour("#0f6cab", "#58a9e6")
"""Blue; also for links."""
BAD = Colour("#b34700", "#f0883e")
"""Orange: distinguishable from blue with every kind of colour vision."""
WARN = Colour("#7d6200", "#d8c14a")
"""Between the two. Some people see it as :data:`BAD`, so a word always gives the meaning."""
STAR = Colour("#f0c000", "#f0c000")
"""The champion in a figure."""
ON_COLOUR = "#fdfdfd"
"""Text on a saturated patch, in either scheme."""
RUNS = (
    Colour("#1fa475", "#14d988"),
    Colour("#b175ea", "#6a7cf3"),
    Colour("#e64655", "#ea514f"),
    Colour("#7f4705", "#b37c00"),
    Colour("#ac8e03", "#d6e055"),
    Colour("#c53697", "#ef60bd"),
    Colour("#910037", "#f9b3c7"),
    Colour("#5d3fae", "#afbafd"),
)
"""Found by search: the largest minimum distance in CIELAB, with and without each colour vision deficiency."""

GROUNDS = {"page": PAGE, "card": CARD, "shade": SHADE}
TEXTS = {"ink": INK, "quiet": QUIET, "good": GOOD, "bad": BAD, "warn": WARN}
TOKENS = {**GROUNDS, **TEXTS, "line": LINE}
"""The colour of each variable of the stylesheet."""

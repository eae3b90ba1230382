"""Names of classes in figures, with any length, in any script of an installed font."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from catwalk.ledger.records.values import class_names

FEW = 20
"""The most classes of which figures and tables show each; if there are more, they show a selection, and say so."""
_FIRST = "DejaVu Sans"
"""A font that comes with matplotlib: Latin, Greek, Cyrillic and more."""
_FALLBACKS = (
    "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR",
    "WenQuanYi Zen Hei", "IPAexGothic", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic",
    "Arial Unicode MS", "Unifont",
)  # fmt: skip
"""Fonts for the characters that it lacks, used if installed."""
_POINTS = 72
"""Points in an inch."""


@cache
def _fonts() -> list[str]:
    installed = set(font_manager.get_font_names())
    return [_FIRST, *(name for name in _FALLBACKS if name in installed)]


@cache
def _characters() -> frozenset[int]:
    """Returns the code points that an installed font can draw."""
    files = (font_manager.findfont(name) for name in _fonts())
    return frozenset(code for file in files for code in font_manager.get_font(file).get_charmap())


def text_style() -> dict[str, Any]:
    """Returns the style of any text with a name: fonts for other scripts, and no mathematics between dollar signs."""
    return {"fontfamily": _fonts(), "parse_math": False}


def names_beside(recorded: list[str], count: int, others: list[str]) -> list[str]:
    """Returns the names of `count` classes, given those of another record of the same model.

    A record of an older version has no names: it takes the other's, if both have the same number of classes.

    Raises:
        ValueError: the record names a different number of classes.
    """
    return class_names(recorded or (others if len(others) == count else []), count)


def drawn(names: Sequence[str]) -> list[str]:
    """Returns the names of classes in figures, in label order; a class that no installed font can draw gets
    its number.
    """
    return [_tidy(name) if _is_drawable(name) else f"class {label}" for label, name in enumerate(names)]


def undrawn_note(names: Sequence[str], shown: Iterable[int]) -> str:
    """Returns which class each number stands for, for the caption, which the reader's own fonts draw; empty if no name
    is replaced.
    """
    missing = [label for label in sorted(set(shown)) if not _is_drawable(names[label])]
    by_number = ", ".join(f"class {label} is {_tidy(names[label]) or 'unnamed'}" for label in missing)
    return f"Shown by number: {by_number}." if by_number else ""


def _tidy(name: str) -> str:
    return " ".join(name.split())


def _is_drawable(name: str) -> bool:
    text = _tidy(name)
    return bool(text) and all(ord(character) in _characters() for character in text)


def width(text: str, size: float) -> float:
    """Returns the width in inches of a text of this size in points."""
    font = FontProperties(family=_fonts(), size=size)
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / _POINTS


def fit(text: str, inches: float, size: float) -> str:
    """Returns a text, shortened in the middle if it is too wide, because names often differ at their ends."""
    shown, kept = text, len(text)
    while kept > 2 and width(shown, size) > inches:
        kept -= 1
        shown = f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
    return shown


def fitted(texts: Iterable[str], inches: float, size: float) -> tuple[list[str], float]:
    """Returns texts that fit, and the width of the widest."""
    shown = [fit(text, inches, size) for text in texts]
    return shown, max((width(text, size) for text in shown), default=0.0)

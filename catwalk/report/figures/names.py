"""Names of classes as figures write them: of any length, in any script that a font here has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from catwalk.ledger.records.values import class_names

FEW = 20
"""Up to so many classes, figures and tables show each; of more they show a choice, and say so."""
_FIRST = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic and more."""
_FALLBACKS = (
    "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR",
    "WenQuanYi Zen Hei", "IPAexGothic", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic",
    "Arial Unicode MS", "Unifont",
)  # fmt: skip
"""For what it lacks, as far as they are installed."""
_POINTS = 72
"""An inch."""


@cache
def _fonts() -> list[str]:
    installed = set(font_manager.get_font_names())
    return [_FIRST, *(name for name in _FALLBACKS if name in installed)]


@cache
def _characters() -> frozenset[int]:
    """Code points that a font here can draw."""
    files = (font_manager.findfont(name) for name in _fonts())
    return frozenset(code for file in files for code in font_manager.get_font(file).get_charmap())


def text_style() -> dict[str, Any]:
    """What each text that holds a name needs: fonts for other scripts, and no mathematics between dollar signs."""
    return {"fontfamily": _fonts(), "parse_math": False}


def names_beside(recorded: list[str], count: int, others: list[str]) -> list[str]:
    """Names of `count` classes beside those of another record of the same model.

    A record of an older version names none: where both have as many classes, they are the other's.

    Raises:
        ValueError: the record names another number of classes.
    """
    return class_names(recorded or (others if len(others) == count else []), count)


def drawn(names: Sequence[str]) -> list[str]:
    """What figures write for classes in label order: the number of a class whose name no font here can draw."""
    return [_tidy(name) if _is_drawable(name) else f"class {label}" for label, name in enumerate(names)]


def undrawn_note(names: Sequence[str], shown: Iterable[int]) -> str:
    """For the caption, which the reader's own fonts draw: which class a number stands for; empty: none does."""
    missing = [label for label in sorted(set(shown)) if not _is_drawable(names[label])]
    told = ", ".join(f"class {label} is {_tidy(names[label]) or 'without a name'}" for label in missing)
    return f"By their numbers: {told}." if told else ""


def _tidy(name: str) -> str:
    return " ".join(name.split())


def _is_drawable(name: str) -> bool:
    text = _tidy(name)
    return bool(text) and all(ord(character) in _characters() for character in text)


def width(text: str, size: float) -> float:
    """Inches that a text of this size in points takes."""
    font = FontProperties(family=_fonts(), size=size)
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / _POINTS


def fit(text: str, inches: float, size: float) -> str:
    """A text that is shortened in its middle where it is too wide: names often differ in their ends."""
    shown, kept = text, len(text)
    while kept > 2 and width(shown, size) > inches:
        kept -= 1
        shown = f"{text[: (kept + 1) // 2].rstrip()}…{text[len(text) - kept // 2 :].lstrip()}"
    return shown


def fitted(texts: Iterable[str], inches: float, size: float) -> tuple[list[str], float]:
    """Texts that fit, and what the widest of them takes."""
    shown = [fit(text, inches, size) for text in texts]
    return shown, max((width(text, size) for text in shown), default=0.0)

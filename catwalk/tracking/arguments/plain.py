"""Type checks of plain arguments: each returns its argument, or raises with what was expected and passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catwalk.errors import InputError, shown
from catwalk.problems.interface import is_number


def mapping(argument: str, given: Any, expected: str) -> Mapping[Any, Any]:
    """A dict; an empty one for None.

    Raises:
        InputError: It is not a dict.
    """
    if given is not None and not isinstance(given, Mapping):
        raise _wrong(argument, f"a dict of {expected}", given)
    return given or {}


def text(argument: str, given: Any) -> str:
    """
    Raises:
        InputError: It is not text.
    """
    if not isinstance(given, str):
        raise _wrong(argument, "text", given)
    return given


def truth(argument: str, given: Any) -> bool:
    """
    Raises:
        InputError: It is neither True nor False.
    """
    if not isinstance(given, bool):
        raise _wrong(argument, "True or False", given)
    return given


def seconds(argument: str, given: Any) -> float:
    """
    Raises:
        InputError: It is not a finite number above 0.
    """
    if not is_number(given) or given <= 0:
        raise _wrong(argument, "seconds, above 0", given)
    return float(given)


def _wrong(argument: str, expected: str, given: Any) -> InputError:
    return InputError(f"{argument}: expected {expected}; got {type(given).__name__} {shown(given, 40)}")

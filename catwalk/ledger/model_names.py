"""Names of models, in any script: one spelling each, the same in keys, labels, addresses and what people type.

What a name may hold has no meaning to StatsD, Grafana's variables or a file system, so it travels as it is. What can't
be seen, or is no part of a word, is refused.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Any

from catwalk.errors import ConfigError

LONGEST = 100
"""Characters."""
LONGEST_BYTES = 200
"""In UTF-8: with `.json` behind it, a name must be one of a file."""
_MARKS = " -._()+&@"
_ASCII = frozenset(string.ascii_letters + string.digits + _MARKS)
_MORE = "·・’"
"""Of Catalan and Japanese, and the apostrophe; to Grafana the one of ASCII ends a text."""
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Letters and marks that show nothing."""


def spelling(name: str) -> str:
    """The one spelling of a name: as people see it, however it was typed, or a file system has kept it."""
    return unicodedata.normalize("NFC", name)


def of_key(key: str, prefix: str) -> str:
    """The model whose record has this key, ``<prefix><model>.json``."""
    return spelling(key.removeprefix(prefix).removesuffix(".json"))


def checked(name: Any) -> str:
    """The one spelling of a model's name.

    Raises:
        ConfigError: it is no name of a model.
    """
    found = spelling(name) if isinstance(name, str) else ""
    wrong = _fault(found)
    if wrong:
        raise ConfigError(
            f"model: expected a name of letters and digits of any script, single spaces and {_MARKS.strip()}, such as "
            f"'churn'; {name!a:.100} {wrong}"
        )
    return found


def _fault(name: str) -> str:
    """What is wrong with it, as the end of a sentence; empty: nothing."""
    if not name:
        return "is none"
    refused = next((character for character in name if not _may_be(character)), "")
    if refused:
        return f"has {refused!a} (U+{ord(refused):04X})"
    if unicodedata.category(name[0])[0] not in "LN":
        return "does not begin with a letter or a digit"
    if name.endswith(" ") or "  " in name:
        return "has a space at its end, or two in a row"
    if len(name) > LONGEST or len(name.encode()) > LONGEST_BYTES:
        return f"has more than {LONGEST} characters, or {LONGEST_BYTES} bytes of UTF-8"
    return ""


def _may_be(character: str) -> bool:
    if character.isascii():
        return character in _ASCII
    is_of_a_script = unicodedata.category(character)[0] in "LMN" and not _INVISIBLE.match(character)
    return is_of_a_script or character in _MORE

"""Names of models, in any script: each has one canonical spelling, used in keys, labels, URLs and input.

The allowed characters have no special meaning in StatsD, Grafana's variables or a file system, so a name is used
unchanged. Invisible characters, and characters that are not part of words, are refused.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Any

from catwalk.errors import ConfigError

LONGEST = 100
"""Maximum number of characters of a name."""
LONGEST_BYTES = 200
"""Maximum number of bytes in UTF-8: with `.json` appended, a name must be a valid file name."""
_MARKS = " -._()+&@"
_ASCII = frozenset(string.ascii_letters + string.digits + _MARKS)
_MORE = "·・’"
"""Marks of Catalan and Japanese, and the typographic apostrophe: the one of ASCII would end a string in Grafana."""
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Invisible letters and marks."""


def spelling(name: str) -> str:
    """The canonical spelling of a name, however it was typed or stored by a file system."""
    return unicodedata.normalize("NFC", name)


def of_key(key: str, prefix: str) -> str:
    """The model whose record has this key, ``<prefix><model>.json``."""
    return spelling(key.removeprefix(prefix).removesuffix(".json"))


def checked(name: Any) -> str:
    """The canonical spelling of a model's name.

    Raises:
        ConfigError: It is not a valid name.
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
    """What is wrong with a name, as the end of a sentence; empty if nothing is."""
    if not name:
        return "is not one"
    refused = next((character for character in name if not _may_be(character)), "")
    if refused:
        return f"has {refused!a} (U+{ord(refused):04X})"
    if unicodedata.category(name[0])[0] not in "LN":
        return "does not begin with a letter or a digit"
    if name.endswith(" ") or "  " in name:
        return "has a trailing space, or two spaces in a row"
    if len(name) > LONGEST or len(name.encode()) > LONGEST_BYTES:
        return f"has more than {LONGEST} characters, or {LONGEST_BYTES} bytes of UTF-8"
    return ""


def _may_be(character: str) -> bool:
    if character.isascii():
        return character in _ASCII
    is_of_a_script = unicodedata.category(character)[0] in "LMN" and not _INVISIBLE.match(character)
    return is_of_a_script or character in _MORE

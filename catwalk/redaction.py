"""Finds what looks like a secret in parameters and texts, so that it is neither stored nor shown."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "(redacted)"
_OF_TEXTS = ("bos", "eos", "pad", "unk", "cls", "sep", "mask", "start", "end", "stop")
"""Words before `_token` in the settings of a tokenizer, which are not secret."""
_TOKEN = "".join(f"(?<!{kind}_)" for kind in _OF_TEXTS) + "token"
_SECRET_NAMES = (
    rf"[a-z0-9]{{0,30}}passw(?:or)?d|pwd|passphrase|{_TOKEN}|secret|(?:api|access|private|secret|account)[_-]?key|"
    "credentials?|authorization"
)
_SECRET = re.compile(rf"(^|_)({_SECRET_NAMES})$", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USER_INFO = re.compile(r"(?<=://)(?:[^/\s?#'\"]+|[^/\s?#'\"@:]*:(?!\d{1,5}/)[^\s?#'\"]{1,200})(?=@)")
"""A user without a password may be a token; a password may contain an @, or a / if there is no port."""
_IN_QUERY = re.compile(
    r"([?&][^=&?\s]{0,60}(?:password|token|secret|signature|sig|api_?key|credential)[^=&?\s]{0,60}=)[^&\s#'\"]+",
    re.IGNORECASE,
)
_VALUE = (
    rf"""(?!{re.escape(REDACTED)})((?P<escape>\\+)"(?:(?!(?<!\\)(?P=escape)").)*(?<!\\)(?P=escape)"|"""
    r"""[bBrRuU]{0,2}(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|"""
    r"""["']?(?:(?i:bearer|basic)\s+)?[^\s,;&)\]}"']+)"""
)
_ASSIGNED = re.compile(
    rf"""((?:(?<![A-Za-z0-9])|(?<=[a-z0-9])(?=[A-Z]))(?i:{_SECRET_NAMES})(?:\\*["'])?\s*(?:=>|[=:])\s*){_VALUE}"""
)
"""Such as `password='…'` in an object's repr, `"token": "…"` in JSON or in a JSON string, or `apiKey: …` in YAML."""
_OPTION = re.compile(rf"""((?<![\w-])--(?:[\w-]*[_-])?(?i:{_SECRET_NAMES})["']?,?\s+)(?!["']?-){_VALUE}""")
"""Such as `--password …` on a command line, or in a list of its words."""


def is_secret(name: str) -> bool:
    """Whether a name is that of a secret."""
    return bool(_SECRET.search(re.sub(r"[^A-Za-z0-9]+", "_", _CAMEL.sub("_", name)).strip("_")))


def is_secret_option(option: Any, item: Any) -> bool:
    """Whether a word of a command line is the secret value of the option before it."""
    return isinstance(option, str) and option.startswith("--") and is_secret(option) and not str(item).startswith("-")


def without_credentials(text: str) -> str:
    """The text without users, passwords and signatures in URLs, and without values assigned to a secret's name."""
    clean = _IN_QUERY.sub(rf"\1{REDACTED}", _USER_INFO.sub(REDACTED, text))
    return _OPTION.sub(rf"\1{REDACTED}", _ASSIGNED.sub(rf"\1{REDACTED}", clean))

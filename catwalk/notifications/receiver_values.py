"""The checks of values in a receiver's file. They check the whole value: one that only begins correctly reaches no one.

Each function returns the meaning of a value, or raises ValueError with the end of a sentence that begins with the name
of its file: "must contain a URL …".
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from catwalk.environment.urls import HOST

_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = rf"{_WORD}(?:\.{_WORD})*@{HOST}"
_NAMED_ADDRESS = re.compile(rf'(?:"?[^"<>@,;:\\]*"?\s*<({_ADDRESS})>|({_ADDRESS}))')
_HOST_AND_PORT = re.compile(rf"({HOST}):(\d{{1,5}})")


def key(text: str) -> str:
    """Returns one word of printable characters, such as a key, a token or a password."""
    if re.fullmatch(r"[\x21-\x7e]+", text.strip()):
        return text.strip()
    raise ValueError("must contain one word, and nothing else")


def password(text: str) -> str:
    """Returns one line."""
    if text.strip() and "\n" not in text.strip():
        return text.strip()
    raise ValueError("must contain one line with the password, and nothing else")


def bot_token(text: str) -> str:
    """Returns a token from Telegram's BotFather."""
    if re.fullmatch(r"\d+:[A-Za-z0-9_-]+", text.strip()):
        return text.strip()
    raise ValueError("must contain the token of a bot, such as 110201543:AAHdqTcvCH1v, and nothing else")


def chat_id(text: str) -> int:
    """Returns the number of a Telegram chat."""
    if re.fullmatch(r"-?[1-9]\d{0,17}", text.strip()):
        return int(text)
    raise ValueError("must contain the number of a chat, such as -1001234567890, and nothing else")


def addresses(value: Any) -> tuple[str, ...]:
    """Returns e-mail addresses from one text, separated by commas, or a list of texts. ``Name <address>`` is
    allowed.
    """
    texts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    found = [_NAMED_ADDRESS.fullmatch(text.strip()) if isinstance(text, str) else None for text in texts]
    wrong = [text for text, match in zip(texts, found, strict=True) if not match]
    if wrong or not found:
        raise ValueError(f"must be one address such as ops@example.com, or a list of them, not {shown(wrong or value)}")
    return tuple(match[1] or match[2] for match in found if match)


def host_and_port(value: Any) -> tuple[str, int]:
    """Returns host and port of ``host:port``; an IPv6 address is in brackets."""
    match = _HOST_AND_PORT.fullmatch(value) if isinstance(value, str) else None
    if match and 1 <= int(match[2]) <= 65_535:
        return match[1], int(match[2])
    raise ValueError(f"must be host:port, not {shown(value)}")


def mapping(text: str) -> dict[str, Any]:
    """Returns the keys and values of a YAML file; a key that occurs twice would lose one of its values."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError("must contain `key: value`, one per line") from error
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise ValueError("must contain `key: value`, one per line")
    names = [str(name.value) for name, _ in node.value]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"has the key {twice[0]} twice; put several values into one list")
    return values


def shown(value: Any) -> str:
    """Returns a value for an error message, in one line."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    return " ".join(repr(one).split())[:100]

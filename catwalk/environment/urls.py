"""Checks of whole URLs: a valid beginning is not enough."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Characters of a URL (RFC 3986); Alertmanager would take a space or a second URL for a part of the path.
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_TWO_URLS = re.compile(r"[,;]https?://")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
HOST = rf"(?:{_NAME}|\[[0-9A-Fa-f:.]+\])"
"""Pattern of a host's name or address."""


def checked(text: str) -> str:
    """One URL, without surrounding white space.

    Raises:
        ValueError: It is not a URL; the message is the end of a sentence that begins with its place.
    """
    found = text.strip()
    if _URL.fullmatch(found) and not _TWO_URLS.search(found) and _has_host(found):
        return found
    raise ValueError("must contain a URL that begins with http:// or https://, and nothing else")


def _has_host(text: str) -> bool:
    try:
        parts = urlsplit(text)
        found = parts.hostname or ""
        return (":" in found or bool(re.fullmatch(rf"{_NAME}\.?", found))) and parts.port != 0
    except ValueError:
        return False

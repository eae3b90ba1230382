"""The commands and snippets of docs/operations.md."""

from __future__ import annotations

import re

from stack.settings import PROJECT

PAGE = PROJECT / "docs" / "operations.md"


def blocks(section: str, language: str) -> list[str]:
    """Returns the code blocks of a section, in order.

    Raises:
        KeyError: There is no such section.
    """
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    return re.findall(rf"^```{language}\n(.*?)^```", sections[section], re.MULTILINE | re.DOTALL)

"""Files of ``NAME=value`` lines, in Docker Compose's format: `local.env`, `secrets.env`, `.env`, `catwalk.env`.

Quotes, `export`, spaces around ``=``, comments and a byte order mark are supported. Unlike in Compose, a ``$`` is a
literal dollar sign, because passwords contain it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from catwalk.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLAIN = re.compile(r"[\w@%+=:,./~?&*!^<>{}\[\]()|;-]*", re.ASCII)
"""Values that need no quotes, for this reader and for Compose."""


def read(path: Path) -> dict[str, str]:
    """Name → value; the last of several lines for a name counts.

    Raises:
        ConfigError: A line is malformed. The message names the file and the line, but not the value, which may be
            secret.
        OSError: The file can't be read.
    """
    from dotenv.parser import parse_stream  # `make env` only writes, and works before setup has installed it

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    values = {}
    for binding in parse_stream(io.StringIO(text)):
        where = f"{path}, line {binding.original.line}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(f"{where}: this is not NAME=value; correct it, or comment it out with #")
        if binding.key is not None and binding.value is not None:
            if not _NAME.fullmatch(binding.key) or "\0" in binding.value:
                raise ConfigError(f"{where}: {binding.key!r} is not a variable name: use letters, digits and _")
            values[binding.key] = binding.value
    return values


def render(values: Mapping[str, str]) -> str:
    """Lines from which :func:`read` returns the same values."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

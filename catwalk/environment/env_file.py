"""Files of ``NAME=value`` lines, read as docker compose reads them: `local.env`, `secrets.env`, `.env`, `catwalk.env`.

Quotes, `export`, spaces around ``=``, comments and a byte order mark are understood. Unlike compose's, a ``$`` is a
dollar sign: passwords have some.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from catwalk.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLAIN = re.compile(r"[\w@%+=:,./~?&*!^<>{}\[\]()|;-]*", re.ASCII)
"""What needs no quotes, in this reader's eyes and in compose's."""


def read(path: Path) -> dict[str, str]:
    """Name → value; of two lines for one name the last counts.

    Raises:
        ConfigError: a line is none; names the file and the line, and shows no value, which may be a secret.
        OSError: the file can't be read.
    """
    from dotenv.parser import parse_stream  # `make env`, which writes only, works before set-up has brought it

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text; save it as that") from error
    values = {}
    for binding in parse_stream(io.StringIO(text)):
        where = f"{path}, line {binding.original.line}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigError(f"{where}: this is no NAME=value; correct it, or begin it with # to leave it out")
        if binding.key is not None and binding.value is not None:
            if not _NAME.fullmatch(binding.key) or "\0" in binding.value:
                raise ConfigError(f"{where}: {binding.key!r} is no variable's name: letters, digits and _ make one")
            values[binding.key] = binding.value
    return values


def render(values: Mapping[str, str]) -> str:
    """The lines that :func:`read` makes the same values of."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

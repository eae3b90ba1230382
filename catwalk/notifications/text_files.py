"""Small files that people write by hand."""

from __future__ import annotations

from pathlib import Path

from catwalk.errors import ConfigError


def text_of(path: Path) -> str | None:
    """Returns the content of a file; None if there is none.

    Raises:
        ConfigError: it can't be read; the message names it.
    """
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {getattr(error, 'strerror', None) or 'it is not text'}") from error

"""Options and arguments that several commands share, and their checks."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from catwalk.errors import CatwalkError
from catwalk.ledger.model_names import spelling

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run id or its beginning, `latest` (the newest run of any kind), or `champion`.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="Model of `champion` or `latest`; default for `champion`: the only one, or that of CATWALK_TRAINABLE.",
        show_default=False,
        callback=spelling,
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Open it in a browser.")]
Reason = Annotated[str, typer.Option(help="Reason, for the history.", show_default=False)]
By = Annotated[
    str,
    typer.Option(
        help="Your name, for the history; default: CATWALK_BY, or the user of this shell.", show_default=False
    ),
]


def given(reason: str) -> str:
    """A reason, stripped of surrounding space.

    Raises:
        CatwalkError: The reason is empty.
    """
    if not reason.strip():
        raise CatwalkError("--reason is required; it is kept in the history")
    return reason.strip()


def person() -> str:
    """Who makes the change: `CATWALK_BY`, the user who called sudo, or this shell's user.

    Raises:
        CatwalkError: It is unknown; in a container, everyone is the image's user.
    """
    import getpass

    from catwalk.environment.parts import in_container

    named = os.environ.get("CATWALK_BY")
    if named or not in_container():
        try:
            return named or os.environ.get("SUDO_USER") or getpass.getuser()
        except (OSError, KeyError):
            pass
    raise CatwalkError("your name is unknown; give it with --by or CATWALK_BY, for the history")

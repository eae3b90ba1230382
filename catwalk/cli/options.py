"""Options and arguments that several commands share, and what is checked of them."""

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
        help="A run id, the beginning of one, `latest` (newest run of any kind) or `champion`.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="Whose `champion`, needed where several have one but that of CATWALK_TRAINABLE; or whose `latest`.",
        show_default=False,
        callback=spelling,
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Show it in a browser.")]
Reason = Annotated[str, typer.Option(help="Why, for the history.", show_default=False)]
By = Annotated[str, typer.Option(help="Who; default: CATWALK_BY, else the user of this shell.", show_default=False)]


def given(reason: str) -> str:
    """A reason, without what surrounds it.

    Raises:
        CatwalkError: it is empty.
    """
    if not reason.strip():
        raise CatwalkError("--reason is empty; say why, for whoever reads the history")
    return reason.strip()


def person() -> str:
    """Who changes the champion: `CATWALK_BY`, or whoever has called sudo, or this shell's user.

    Raises:
        CatwalkError: nobody can tell; within a container everybody is the image's one user.
    """
    import getpass

    from catwalk.environment.parts import in_container

    named = os.environ.get("CATWALK_BY")
    if named or not in_container():
        try:
            return named or os.environ.get("SUDO_USER") or getpass.getuser()
        except (OSError, KeyError):
            pass
    raise CatwalkError("it can't be told who you are; say so with --by or CATWALK_BY, for whoever reads the history")

"""The ``catwalk`` command. Modules that take long to import are imported by the commands that need them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import typer

from catwalk.cli import terminal
from catwalk.cli.commands import alerts, ledger, models, reports, runs, telemetry, training
from catwalk.cli.terminal import complain
from catwalk.errors import CatwalkError

app = typer.Typer(
    name="catwalk",
    help="Train, inspect and serve models, and watch over what observes them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage; an error is one line on stderr."""
    with terminal.streams():
        _main(arguments)


def _main(arguments: list[str] | None) -> None:
    try:
        app(arguments)
    except CatwalkError as error:
        _fail(error, str(error))
    except KeyboardInterrupt:
        raise SystemExit(complain("interrupted")) from None
    except Exception as error:  # the last line of defence: a user gets a sentence, not a traceback
        known = _told_by_system(error) if isinstance(error, OSError) else ""
        _fail(error, known or f"unexpected {type(error).__name__}: {error} (set CATWALK_DEBUG=1 to see where)")


def _told_by_system(error: OSError) -> str:
    """What this machine lacks, as a sentence; empty where an error may mean anything."""
    if "temporary directory" in str(error):  # torch and matplotlib want one as soon as they are imported
        return "no temporary folder can be written to; set TMPDIR to one that can"
    return terminal.full(error)


def _fail(error: Exception, message: str) -> None:
    if os.environ.get("CATWALK_DEBUG"):
        raise error
    raise SystemExit(complain(message)) from None


@app.callback()
def _everything() -> None:
    """Train, inspect and serve models, and watch over what observes them."""
    from catwalk.clients.environment import load_environment

    load_environment()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where it has no home to keep its fonts in


COMMANDS: dict[str, Callable[..., None]] = {
    "run": training.run,
    "runs": runs.runs,
    "show": runs.show,
    "report": reports.report,
    "compare": reports.compare,
    "prune": ledger.prune,
    "migrate": ledger.migrate,
    "promote": models.promote,
    "rollback": models.rollback,
    "fetch": models.fetch,
    "predict": training.predict,
    "doctor": telemetry.doctor,
    "alerts": alerts.alerts,
    "silence": alerts.silence,
    "replay": telemetry.replay,
}
"""In the order of the help."""

for name, command in COMMANDS.items():
    app.command(name)(command)

if __name__ == "__main__":
    main()

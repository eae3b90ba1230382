"""The ``catwalk`` command. Commands import the slow modules that they need themselves."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from catwalk import extras
from catwalk.cli import terminal
from catwalk.cli.commands import (
    alerts,
    bundle,
    ledger,
    models,
    reference,
    reports,
    retraining,
    runs,
    serve,
    service,
    telemetry,
    training,
    watched,
)
from catwalk.cli.knob_flags import KnobCommand
from catwalk.entry_point import entry_point, unwritable
from catwalk.errors import CatwalkError
from catwalk.storage.opening import VARIABLE, use_local

app = typer.Typer(
    name="catwalk",
    help="Train, inspect and serve models, and check the stack that observes them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point. Exit codes: 0 success, 1 failure, 2 wrong usage; an error is one line on stderr."""
    sys.exit(_main(arguments))


@entry_point(terminal.NAME)
def _main(arguments: list[str] | None) -> None:
    try:
        app(arguments)
    except CatwalkError:
        raise
    except ModuleNotFoundError as error:
        raise CatwalkError(extras.complaint(error, "cli")) from error
    except Exception as error:  # last resort: a user gets a sentence, not a traceback
        known = _told_by_system(error) if isinstance(error, OSError) else ""
        unexpected = f"unexpected {type(error).__name__}: {error} (set CATWALK_DEBUG=1 to see where)"
        raise CatwalkError(known or unexpected) from error


def _told_by_system(error: OSError) -> str:
    """What this machine lacks, as a sentence; empty if the error is ambiguous."""
    if "temporary directory" in str(error):  # torch and matplotlib need one at import
        return "no temporary folder is writable; set TMPDIR to one that is"
    return unwritable(error)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"catwalk {version(extras.DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def _everything(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
    store: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Store of the ledger: s3://bucket/prefix or file:///folder; default: CATWALK_STORE.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Train, inspect and serve models, and check the stack that observes them."""
    from catwalk.environment.parts import load_environment

    if store:
        os.environ[VARIABLE] = store  # before the settings of a running stack are loaded: those are for its own store
    load_environment()
    use_local()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns if it has no home folder for its font cache


COMMANDS: dict[str, Callable[..., None]] = {
    "run": training.run,
    "runs": runs.runs,
    "show": runs.show,
    "finish": runs.finish,
    "report": reports.report,
    "compare": reports.compare,
    "prune": ledger.prune,
    "migrate": ledger.migrate,
    "promote": models.promote,
    "rollback": models.rollback,
    "fetch": models.fetch,
    "predict": training.predict,
    "serve": serve.serve,
    "traffic": service.traffic,
    "labels": service.labels,
    "doctor": telemetry.doctor,
    "alerts": alerts.alerts,
    "silence": alerts.silence,
    "replay": telemetry.replay,
    "bundle": bundle.bundle,
}
"""In the order of the help."""

for name, command in COMMANDS.items():
    app.command(name, cls=KnobCommand if command is training.run else None)(command)

app.add_typer(watched.models, name="models")
app.add_typer(reference.reference, name="reference")
app.add_typer(retraining.retraining, name="retraining")

if __name__ == "__main__":
    main()

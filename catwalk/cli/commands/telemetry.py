"""``catwalk doctor`` and ``catwalk replay``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from catwalk.cli import terminal
from catwalk.cli.lookup import observed_ledger, resolve
from catwalk.cli.options import Json, Model, RunArgument


def doctor(json: Json = False) -> None:
    """Check every part, and show how to fix what is wrong."""
    from catwalk.cli.doctor.examination import examine
    from catwalk.cli.tables import output

    checks = []
    for check in examine():
        checks.append(check)
        if not json:
            output.show(output.check_line(check))
    if json:
        output.print_json([check.to_dict() for check in checks])
    raise typer.Exit(int(any(check.verdict == "FAIL" for check in checks)))


def replay(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write Prometheus blocks into this folder, whatever the run's age; - writes OpenMetrics to standard "
            "output, for promtool on another machine.",
            show_default=False,
        ),
    ] = None,
    model: Model = "",
    json: Json = False,
) -> None:
    """Send a run's metrics to Prometheus again, from the ledger.

    A run that ended in the last twelve hours is sent through StatsD, with the current time. An older one becomes
    Prometheus blocks with its own timestamps.
    """
    from catwalk.cli.tables import output
    from catwalk.replay.replay import as_openmetrics
    from catwalk.replay.replay import replay as replay_run

    terminal.check_stdout(out, json)
    found = resolve(run, model)
    if out == terminal.STDOUT:
        terminal.put(as_openmetrics(found).encode())
        return
    result = replay_run(found, observed_ledger()[1], out, time.time())
    if json:
        output.print_json(result.to_dict())
    else:
        print(result.sentence)

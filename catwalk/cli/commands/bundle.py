"""``catwalk bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bundle(
    out: Annotated[Path, typer.Option(help="Folder to write; an older bundle in it is replaced.", show_default=False)],
    exporter_url: Annotated[str, typer.Option(help="Where people reach the exporter: links begin with it.")],
    grafana_url: Annotated[str, typer.Option(help="Where people reach Grafana.")],
    runbooks_url: Annotated[
        str, typer.Option(help="Where people find the bundle's folder runbooks/ once you have published it.")
    ] = "",
    courier_url: Annotated[
        str, typer.Option(help="Where people reach the courier, if you run it; it serves the runbooks itself.")
    ] = "",
    selector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=VALUE", help="A label that all of this Catwalk's series have there; may be repeated."
        ),
    ] = None,
    job: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=NAME", help="What your job for exporter, statsd_exporter or courier is called, if not so."
        ),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An owner of models who gets a receiver of their own; may be repeated."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="A limit of alerts, in place of its default; may be repeated."),
    ] = None,
    without_own_stack: Annotated[
        bool, typer.Option("--without-own-stack", help="Leave out alerts on Catwalk's servers: others watch them.")
    ] = False,
    shared_statsd: Annotated[
        bool,
        typer.Option("--shared-statsd", help="Others send to the same statsd_exporter: blame nobody for their lines."),
    ] = False,
    datasource: Annotated[
        str, typer.Option(metavar="UID", help="Prometheus that dashboards open with; default: Grafana's default one.")
    ] = "",
    folder: Annotated[str, typer.Option(help="Grafana's folder for the dashboards.")] = "Catwalk",
) -> None:
    """Write rules, mapping, dashboards and runbooks for a Prometheus, Alertmanager and Grafana of your own."""
    from catwalk.bundle.files import contents
    from catwalk.bundle.folder import write
    from catwalk.bundle.options import Options
    from catwalk.cli.assignments import THRESHOLD, numbers, pairs

    options = Options(
        exporter_url=exporter_url,
        grafana_url=grafana_url,
        courier_url=courier_url,
        runbooks_url=runbooks_url,
        labels=pairs("--selector", selector or []),
        jobs=pairs("--job", job or []),
        owners=tuple(owner or []),
        thresholds=numbers("--threshold", threshold or [], THRESHOLD),
        own_stack=not without_own_stack,
        shared_statsd=shared_statsd,
        datasource=datasource,
        folder=folder,
    )
    made = contents(options)
    gone = write(out, made)
    removed = f", and removed {gone} that are no part of it any more" if gone else ""
    print(f"wrote {len(made)} files to {out}{removed}; {out / 'README.md'} says what goes where")

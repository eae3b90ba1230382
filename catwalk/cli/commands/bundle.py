"""``catwalk bundle``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from catwalk.bundle.options import Options


_PANEL = "Options of --format kubernetes"


class Format(StrEnum):
    """What a bundle is made of."""

    FILES = "files"
    KUBERNETES = "kubernetes"


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
    drift_windows: Annotated[
        str,
        typer.Option(metavar="HOUR,DAY", help="What the rules of drift take for an hour and a day: 20s,2m in a demo."),
    ] = "1h,1d",
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
    format_: Annotated[
        Format, typer.Option("--format", help="Files for servers, or manifests for the Prometheus operator's cluster.")
    ] = Format.FILES,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="Ledger that the exporter reads, s3://…", rich_help_panel=_PANEL)
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="Catwalk's image, as the cluster pulls it. Default: the one of compose.", rich_help_panel=_PANEL
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Begins the name of each object. Default: catwalk.", rich_help_panel=_PANEL)
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of all objects. Default: catwalk.", rich_help_panel=_PANEL)
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A label of each object, which your operator's selectors ask for; may be repeated.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    airflow_namespace: Annotated[
        str | None, typer.Option(help="Where Airflow runs, which may send. Default: airflow.", rich_help_panel=_PANEL)
    ] = None,
    monitoring_namespace: Annotated[
        str | None,
        typer.Option(
            help="Where Prometheus and Alertmanager run, which may ask and tell. Default: monitoring.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    serve: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="A model whose champion `catwalk serve` serves; may be repeated.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
) -> None:
    """Write rules, mapping, dashboards and runbooks for a Prometheus, Alertmanager and Grafana of your own."""
    from catwalk.assets.drift_windows import DriftWindows
    from catwalk.bundle.folder import write
    from catwalk.bundle.options import SCRAPE_SECONDS, Options
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
        windows=DriftWindows.read("--drift-windows", drift_windows, SCRAPE_SECONDS),
        own_stack=not without_own_stack,
        shared_statsd=shared_statsd,
        datasource=datasource,
        folder=folder,
    )
    places = {
        "store": store,
        "image": image,
        "name": name,
        "namespace": namespace,
        "label": label,
        "airflow_namespace": airflow_namespace,
        "monitoring_namespace": monitoring_namespace,
        "serve": serve,
    }
    made = _contents(format_, options, {flag: value for flag, value in places.items() if value is not None})
    gone = write(out, made)
    removed = f", and removed {gone} that are no part of it any more" if gone else ""
    print(f"wrote {len(made)} files to {out}{removed}; {out / 'README.md'} says what goes where")


def _contents(format_: Format, options: Options, places: dict[str, Any]) -> dict[str, str]:
    from catwalk.bundle import files
    from catwalk.bundle.kubernetes import files as manifests
    from catwalk.bundle.kubernetes.cluster import Cluster
    from catwalk.cli.assignments import pairs
    from catwalk.errors import ConfigError

    if format_ is Format.KUBERNETES:
        if "store" not in places:
            raise ConfigError("--format kubernetes needs --store s3://bucket[/prefix], which the exporter reads")
        labels = pairs("--label", places.pop("label", []))
        served = tuple(places.pop("serve", []))
        return manifests.contents(options, Cluster(**places, labels=labels, served=served))
    if places:
        raise ConfigError(f"--{next(iter(places)).replace('_', '-')} is for --format kubernetes; give both or neither")
    return files.contents(options)

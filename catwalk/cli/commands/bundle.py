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
    """The format of a bundle's files."""

    FILES = "files"
    KUBERNETES = "kubernetes"


def bundle(
    out: Annotated[Path, typer.Option(help="Folder to write; replaces an older bundle there.", show_default=False)],
    exporter_url: Annotated[str, typer.Option(help="The exporter's URL for people; links begin with it.")],
    grafana_url: Annotated[str, typer.Option(help="Grafana's URL for people.")],
    runbooks_url: Annotated[
        str, typer.Option(help="URL of the bundle's folder runbooks/ once you have published it.")
    ] = "",
    courier_url: Annotated[
        str, typer.Option(help="The courier's URL for people, if you run it; it serves the runbooks itself.")
    ] = "",
    selector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=VALUE", help="A label that all of this Catwalk's series have in your Prometheus; repeatable."
        ),
    ] = None,
    job: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=NAME",
            help="The name of your scrape job for exporter, statsd_exporter or courier, if it differs; repeatable.",
        ),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An owner of models who gets a receiver of their own; repeatable."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="A threshold of alerts that replaces its default; repeatable."),
    ] = None,
    drift_windows: Annotated[
        str,
        typer.Option(metavar="HOUR,DAY", help="The two windows of the drift rules; a demo uses 20s,2m."),
    ] = "1h,1d",
    without_own_stack: Annotated[
        bool, typer.Option("--without-own-stack", help="Leave out alerts on Catwalk's servers, if others watch them.")
    ] = False,
    shared_statsd: Annotated[
        bool,
        typer.Option(
            "--shared-statsd", help="Leave out alerts on bad lines, because others send to the same statsd_exporter."
        ),
    ] = False,
    datasource: Annotated[
        str, typer.Option(metavar="UID", help="Prometheus data source of the dashboards; default: Grafana's default.")
    ] = "",
    folder: Annotated[str, typer.Option(help="Grafana folder for the dashboards.")] = "Catwalk",
    format_: Annotated[
        Format, typer.Option("--format", help="Plain files, or manifests for a cluster with the Prometheus operator.")
    ] = Format.FILES,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The ledger that the exporter reads, s3://…", rich_help_panel=_PANEL),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="Catwalk's image, as the cluster pulls it. Default: that of Docker Compose.", rich_help_panel=_PANEL
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Prefix of each object's name. Default: catwalk.", rich_help_panel=_PANEL)
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of all objects. Default: catwalk.", rich_help_panel=_PANEL)
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A label on each object, for your operator's selectors; repeatable.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    airflow_namespace: Annotated[
        str | None,
        typer.Option(help="Airflow's namespace, which may send metrics. Default: airflow.", rich_help_panel=_PANEL),
    ] = None,
    monitoring_namespace: Annotated[
        str | None,
        typer.Option(
            help="Namespace of Prometheus and Alertmanager, which may scrape and notify. Default: monitoring.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    serve: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="A model that `catwalk serve` serves; repeatable.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
) -> None:
    """Write rules, mapping, dashboards and runbooks for your own Prometheus, Alertmanager and Grafana."""
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
    removed = f", and removed {gone} that no longer belong to it" if gone else ""
    print(f"wrote {len(made)} files to {out}{removed}; {out / 'README.md'} explains where each goes")


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
        raise ConfigError(f"--{next(iter(places)).replace('_', '-')} needs --format kubernetes")
    return files.contents(options)

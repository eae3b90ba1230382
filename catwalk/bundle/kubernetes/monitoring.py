"""Objects that the Prometheus operator and Grafana's sidecar load."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import yaml

from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.kubernetes.objects import Manifest, made, slug
from catwalk.bundle.kubernetes.servers import Server
from catwalk.bundle.options import SCRAPE_SECONDS, Options

_OPERATOR = "monitoring.coreos.com/v1"
_SIDECAR = {"grafana_dashboard": "1"}
"""The label that Grafana's sidecar looks for by default."""


SERVE_JOB = "services"
"""As in our own stack. The series have the model as a label."""


def monitor(server: Server, options: Options, cluster: Cluster) -> Manifest:
    """The scrape job of a server, with the name and labels that the rules expect."""
    wanted = {"job": options.scraped.get(server.part, SERVE_JOB), **options.labels}
    head = made(_OPERATOR, "ServiceMonitor", cluster.called(server.part), cluster, server.part)
    endpoint = {
        "port": "metrics" if server.metrics_port else "http",
        "interval": f"{SCRAPE_SECONDS}s",
        "scrapeTimeout": f"{SCRAPE_SECONDS}s",
        "relabelings": [
            {"action": "replace", "targetLabel": name, "replacement": value} for name, value in wanted.items()
        ],
    }
    labels = {name: value for name, value in head["metadata"]["labels"].items() if name not in cluster.labels}
    return {
        **head,
        "spec": {"selector": {"matchLabels": labels}, "sampleLimit": 200_000, "endpoints": [endpoint]},
    }


def rules(files: Mapping[str, str], cluster: Cluster) -> Iterator[Manifest]:
    """One PrometheusRule per file."""
    for path, text in _below("prometheus/rules/", files):
        head = made(_OPERATOR, "PrometheusRule", f"{cluster.name}-{slug(path.stem)}", cluster, "rules")
        yield {**head, "spec": {"groups": yaml.safe_load(text)["groups"]}}


def dashboards(files: Mapping[str, str], options: Options, cluster: Cluster) -> Iterator[Manifest]:
    """One ConfigMap per dashboard, because the limit is 1 MiB. Its annotation names Grafana's folder."""
    for path, text in _below("grafana/dashboards/", files):
        name = f"{cluster.name}-dashboard-{slug(path.stem.removeprefix('catwalk-'))}"
        head = made("v1", "ConfigMap", name, cluster, "dashboards", {"grafana_folder": options.folder})
        head["metadata"]["labels"] = {**_SIDECAR, **head["metadata"]["labels"]}
        yield {**head, "data": {path.name: f"{json.dumps(json.loads(text), ensure_ascii=False)}\n"}}


def _below(folder: str, files: Mapping[str, str]) -> Iterator[tuple[PurePosixPath, str]]:
    for path, text in files.items():
        if path.startswith(folder):
            yield PurePosixPath(path), text

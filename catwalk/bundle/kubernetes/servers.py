"""Catwalk's servers: how each is started, and what it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.kubernetes.objects import short
from catwalk.bundle.options import Options

STATSD_IMAGE = "prom/statsd-exporter:v0.31.0"
"""As in docker-compose.yaml."""
STATSD_PORT = 9125
_CATWALK_USER, _NOBODY = 50000, 65534
"""Users in the two images."""


@dataclass(frozen=True)
class Server:
    """One of the programs. Most have one pod, because two would each report a half, or everything twice."""

    part: str
    image: str
    user: int
    started: dict[str, list[str]]
    """`command`, or the `args` of the image's own."""
    port: int
    """Where it serves its pages, and its metrics unless `metrics_port` says otherwise."""
    alive: str
    """Path that returns 200 while it works."""
    memory: tuple[str, str]
    """Request and limit."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables. A server that has some also reads those of a ConfigMap and a Secret."""
    listens: bool = False
    """Whether it receives StatsD."""
    volumes: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Name → where it is mounted, and what it is."""
    checksum: str = ""
    """Checksum of what it reads only when it starts."""
    metrics_port: int = 0
    """Where Prometheus scrapes it; 0: where it serves its pages."""
    ready: str = ""
    """Path that returns 200 while it can take requests; empty: `alive` is used."""
    cpu: str = "50m"
    """CPU request."""
    grace_seconds: int = 30
    """From SIGTERM to SIGKILL."""
    overlaps: bool = False
    """Whether its replacement starts before it stops, and several may run."""


def servers(options: Options, cluster: Cluster, mapping: str) -> list[Server]:
    """The servers of a bundle."""
    found = [_statsd_exporter(cluster, mapping), _exporter(options, cluster)]
    courier = [_courier(options, cluster)] if options.courier_url else []
    return [*found, *courier, *(_model_server(model, cluster) for model in cluster.served)]


def model_part(model: str) -> str:
    """The part that serves a model."""
    return f"serve-{short(model)}"


def _statsd_exporter(cluster: Cluster, mapping: str) -> Server:
    part = "statsd_exporter"
    return Server(
        part,
        STATSD_IMAGE,
        _NOBODY,
        {
            "args": [
                f"--statsd.listen-udp=:{STATSD_PORT}",
                f"--statsd.listen-tcp=:{STATSD_PORT}",
                "--web.listen-address=:9102",
                "--statsd.mapping-config=/etc/catwalk/mapping.yaml",
            ]
        },
        9102,
        "/metrics",  # not /-/healthy, which returns 200 even if this is broken
        ("128Mi", "768Mi"),
        listens=True,
        volumes={"mapping": ("/etc/catwalk", {"configMap": {"name": cluster.called(part)}})},
        checksum=hashlib.sha256(mapping.encode()).hexdigest(),
    )


def _exporter(options: Options, cluster: Cluster) -> Server:
    return Server(
        "exporter",
        cluster.image,
        _CATWALK_USER,
        {"command": ["python", "-m", "catwalk_exporter", "--host", "0.0.0.0", "--port", "9180"]},
        9180,
        "/healthz",
        ("256Mi", "1Gi"),
        {
            "CATWALK_STORE": cluster.store,
            "CATWALK_STATSD": f"{cluster.host('statsd_exporter')}:{STATSD_PORT}",
            **_links(options),
        },
        volumes={"tmp": ("/tmp", {"emptyDir": {"sizeLimit": "1Gi"}})},
    )


def _courier(options: Options, cluster: Cluster) -> Server:
    name = cluster.called("courier")
    return Server(
        "courier",
        cluster.image,
        _CATWALK_USER,
        {"command": ["python", "-m", "catwalk_courier", "--host", "0.0.0.0", "--port", "9181"]},
        9181,
        "/healthz",
        ("64Mi", "256Mi"),
        {"CATWALK_RECEIVERS": "/etc/catwalk/receivers", **_links(options)},
        volumes={
            "tmp": ("/tmp", {"emptyDir": {"sizeLimit": "64Mi"}}),
            "state": ("/var/lib/catwalk/courier", {"persistentVolumeClaim": {"claimName": name}}),
            "receivers": (
                "/etc/catwalk/receivers",
                {"secret": {"secretName": f"{name}-receivers", "optional": True}},
            ),
        },
    )


def _model_server(model: str, cluster: Cluster) -> Server:
    log = "/var/lib/catwalk/serve"
    command = ["catwalk", "serve", model, "--host=0.0.0.0", "--port=9182", "--metrics-port=9183", f"--log={log}"]
    return Server(
        model_part(model),
        cluster.image,
        _CATWALK_USER,
        # Services and proxies learn of the end of a pod only when it gets SIGTERM.
        {"command": [*command, "--notice-seconds=10", "--drain-seconds=30"]},
        9182,
        "/healthz",
        ("512Mi", "2Gi"),
        {"CATWALK_STORE": cluster.store, "CATWALK_DEPLOYMENT": "kubernetes"},
        volumes={
            "tmp": ("/tmp", {"emptyDir": {"sizeLimit": "256Mi"}}),
            "state": (log, {"emptyDir": {"sizeLimit": "1Gi"}}),
        },
        metrics_port=9183,
        ready="/readyz",
        cpu="500m",
        grace_seconds=40,  # after the 30 s to drain in, the log has 5 s to reach the ledger
        overlaps=True,
    )


def _links(options: Options) -> dict[str, str]:
    """Addresses that people open, and the kind of deployment, which advice depends on."""
    links = {
        "CATWALK_EXPORTER_URL": options.exporter_url,
        "CATWALK_GRAFANA_URL": options.grafana_url,
        "CATWALK_COURIER_URL": options.courier_url,
    }
    return {"CATWALK_DEPLOYMENT": "kubernetes", **{name: url for name, url in links.items() if url}}

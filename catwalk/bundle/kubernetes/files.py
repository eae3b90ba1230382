"""All files of a bundle for a cluster, as text."""

from __future__ import annotations

from catwalk.bundle import alertmanager, files
from catwalk.bundle.kubernetes import airflow, monitoring, page
from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.kubernetes.objects import dump
from catwalk.bundle.kubernetes.servers import servers
from catwalk.bundle.kubernetes.workloads import objects
from catwalk.bundle.options import Options

_KEPT = ("alertmanager/", "runbooks/")
"""Folders that are the same in every bundle."""


def contents(options: Options, cluster: Cluster) -> dict[str, str]:
    """Path in the bundle → text.

    Raises:
        ConfigError: See `catwalk.bundle.files.contents`.
    """
    plain = files.contents(options)
    mapping = plain["statsd/mapping.yaml"]
    parts = servers(options, cluster, mapping)
    found = {path: text for path, text in plain.items() if path.startswith(_KEPT)}
    hook = alertmanager.Hook(
        f"http://{cluster.host('courier')}:9181/alertmanager",
        f"/etc/alertmanager/secrets/{cluster.called('courier')}/CATWALK_MONITORING_PASSWORD",
    )
    manifests = {
        **{part.part.replace("_", "-"): objects(part, cluster, mapping) for part in parts},
        "dashboards": monitoring.dashboards(plain, options, cluster),
        "monitors": [monitoring.monitor(part, options, cluster) for part in parts],
        "rules": monitoring.rules(plain, cluster),
    }
    return {
        **found,
        "README.md": page.text(options, cluster, plain["README.md"]),
        "airflow/values.yaml": f"{files.HEAD}\n{airflow.values(plain['airflow/metrics.env'], cluster)}",
        "alertmanager/catwalk.yml": alertmanager.fragment(options, files.HEAD, hook),
        **{f"kubernetes/{name}.yaml": dump(each, files.HEAD) for name, each in manifests.items()},
    }

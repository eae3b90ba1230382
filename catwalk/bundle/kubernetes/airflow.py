"""Values for Airflow's official Helm chart: its pods send to our statsd_exporter instead of the chart's own."""

from __future__ import annotations

import re
from typing import Any

from catwalk.bundle import blocks
from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.kubernetes.servers import STATSD_PORT


def values(environment: str, cluster: Cluster) -> str:
    """YAML. Helm replaces lists, so ``env`` must be merged by hand.

    Args:
        environment: Lines of Airflow's settings as variables.
    """
    given = re.findall(r"^AIRFLOW__METRICS__(\w+)=(.*)$", environment, re.MULTILINE)
    host = cluster.host("statsd_exporter")
    metrics = {**{name.lower(): value for name, value in given}, "statsd_host": host}
    tasks = {"CATWALK_STORE": cluster.store, "CATWALK_STATSD": f"{host}:{STATSD_PORT}"}
    found: dict[str, Any] = {
        "statsd": {"enabled": False},
        "config": {"metrics": metrics},
        "env": [{"name": name, "value": value} for name, value in tasks.items()],
    }
    return blocks.dump(found)

"""Data that travels with the library: Prometheus' rules and runbooks, Alertmanager's templates, Grafana's dashboards.

In a checkout it lies in the folders of the servers that read it; the wheel has the same folders in here.
"""

from __future__ import annotations

from pathlib import Path

from catwalk.environment import checkout


def path(name: str) -> Path:
    """A file or folder by its path in the project, such as ``prometheus/runbooks``."""
    return (checkout.FOLDER or Path(__file__).parent) / name

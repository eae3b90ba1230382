"""Data files of the library: Prometheus' rules and runbooks, Alertmanager's templates, Grafana's dashboards.

In a checkout they are in the folders of the servers that read them; the wheel has the same folders in this package.
"""

from __future__ import annotations

from pathlib import Path

from catwalk.environment import checkout


def path(name: str) -> Path:
    """The path of a file or folder, by its path in the project, such as ``prometheus/runbooks``."""
    return (checkout.FOLDER or Path(__file__).parent) / name

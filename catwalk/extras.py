"""Packages that the library uses and does not bring: each comes with an extra of the distribution."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DISTRIBUTION = "catwalk-mlops"
EXTRAS = {
    "cli": ("grafana_api", "prometheus_client", "rich", "typer", "yaml"),
    "bundle": ("promql_parser", "yaml"),
    "report": ("PIL", "matplotlib"),
    "exporter": ("prometheus_client",),
    "courier": ("grafana_api", "markdown_it", "prometheus_client", "yaml"),
    "service": ("prometheus_client",),
    "serve": ("PIL", "fastapi", "httptools", "prometheus_client", "uvicorn"),
    "torch": ("PIL", "torch"),
    "gpu": ("pynvml",),
    "airflow": ("airflow", "yaml"),
}
"""Extra → the modules that it brings."""


def complaint(error: ModuleNotFoundError, own: str) -> str:
    """One line on a module that is not there, with what to install.

    Args:
        error: whatever was not found.
        own: the extra of the program that wanted it, which is named if it brings the module.
    """
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra in (own, *EXTRAS) if module in EXTRAS[extra]), "")
    return f"{module} is not installed; run pip install '{DISTRIBUTION}[{extra}]'" if extra else str(error)


@contextmanager
def required(extra: str) -> Iterator[None]:
    """Around a program's imports: where a module is not there, one line on stderr and exit code 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(f"catwalk: {complaint(error, extra)}")

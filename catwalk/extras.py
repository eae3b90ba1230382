"""Packages that the library uses but doesn't require: an extra of the distribution installs each."""

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
"""Extra → the modules that it installs."""


def complaint(error: ModuleNotFoundError, own: str) -> str:
    """One line about a missing module, with the command that installs it.

    Args:
        error: The import error.
        own: The extra of the program that needs the module, which is named if it installs the module.
    """
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra in (own, *EXTRAS) if module in EXTRAS[extra]), "")
    return f"{module} is not installed; run pip install '{DISTRIBUTION}[{extra}]'" if extra else str(error)


@contextmanager
def required(extra: str) -> Iterator[None]:
    """Wraps a program's imports: if a module is missing, prints one line on stderr and exits with 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(f"catwalk: {complaint(error, extra)}")

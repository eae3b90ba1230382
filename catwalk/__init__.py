"""Watches models that are retrained on a schedule: the library that training jobs and services use.

Importing it loads neither torch nor Airflow, matplotlib, scipy or a web framework.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catwalk.problems.binary import Binary
    from catwalk.problems.multiclass import Multiclass
    from catwalk.problems.regression import Regression
    from catwalk.service.labels.arrival import labels
    from catwalk.service.monitor import PredictionMonitor
    from catwalk.tracking.opening import run

__all__ = ["Binary", "Multiclass", "PredictionMonitor", "Regression", "labels", "run"]

# OpenMP's threads spin while they wait, by default: beside another program on the same cores an epoch then takes many
# times longer. Read when torch is loaded, which nothing does before it has imported something from here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "Binary": "catwalk.problems.binary",
    "Multiclass": "catwalk.problems.multiclass",
    "PredictionMonitor": "catwalk.service.monitor",
    "Regression": "catwalk.problems.regression",
    "labels": "catwalk.service.labels.arrival",
    "run": "catwalk.tracking.opening",
}
"""Public name → module. Each is loaded at its first use: DAG files and the command line start without them."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

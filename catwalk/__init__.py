"""Observability for models that are retrained on a schedule: the library for training jobs and services.

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

# By default, OpenMP's threads spin for milliseconds while they wait: if another program uses the same cores, an epoch
# takes many times longer. These poll for some 10 µs, about as long as a training step lets them wait, and then sleep.
# torch reads this when it is loaded, which happens only after something from this package is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_HOMES = {
    "Binary": "catwalk.problems.binary",
    "Multiclass": "catwalk.problems.multiclass",
    "PredictionMonitor": "catwalk.service.monitor",
    "Regression": "catwalk.problems.regression",
    "labels": "catwalk.service.labels.arrival",
    "run": "catwalk.tracking.opening",
}
"""Public name → module. Each is loaded at its first use, so that DAG files and the command line start fast."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

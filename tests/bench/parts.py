"""The parts of the bench, each of which can be measured by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.bench import (
    accuracy,
    containers,
    crowded,
    epochs,
    faults,
    many_runs,
    models,
    pipeline,
    report,
    serve,
    service,
    telemetry,
    tracking,
)
from tests.bench.measure import Growth, Measurement

PARTS: dict[str, Callable[[Callable[[str], None]], Sequence[Measurement | Growth]]] = {
    "epochs": lambda say: epochs.measure(5, say),
    "crowded": lambda say: crowded.measure(10, 3, say),
    "telemetry": lambda say: telemetry.measure(5, say),
    "tracking": lambda say: tracking.measure(5, say),
    "service": lambda say: service.measure(5, say),
    "serve": lambda say: serve.measure(20, say),
    "faults": faults.measure,
    "accuracy": lambda say: accuracy.measure(5, say),
    "runs": many_runs.measure,
    "report": lambda say: report.measure(5, say),
    "models": models.measure,
    "pipeline": lambda say: pipeline.measure(5, say),
    "containers": containers.measure,
}


def measure(name: str) -> Sequence[Measurement | Growth]:
    """Returns what a part measures. Tells its progress on standard error."""
    return PARTS[name](say)


def say(text: str) -> None:
    """Progress, separate from the table."""
    print(text, file=sys.stderr, flush=True)

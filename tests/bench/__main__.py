"""`make bench`: measures what docs/measurements.md quotes, prints it as a table and writes bench.json. It takes 20
minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from catwalk.entry_point import entry_point
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
    "crowded": lambda say: crowded.measure(3, say),
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


@entry_point("bench")
def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="measure only this; may be repeated")
    chosen = parser.parse_args().only or list(PARTS)
    found = [entry for name in chosen for entry in PARTS[name](say)]
    setting = machine()
    print(f"\n{setting}")
    for header, rows in groupby(found, attrgetter("header")):
        print("", header, *(entry.row for entry in rows), sep="\n")
    results = [asdict(entry) for entry in found]
    Path("bench.json").write_text(json.dumps({"machine": setting, "results": results}, indent=1) + "\n")


def say(text: str) -> None:
    """Progress, separate from the table."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """Returns what the figures depend on, in one line."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = models[0].partition(":")[2].strip() if models else platform.machine()
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "apache-airflow"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({cpu}), Python {platform.python_version()}, {packages}"
    )


if __name__ == "__main__":
    sys.exit(main())

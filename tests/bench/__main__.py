"""`make bench`: measures what docs/measurements.md quotes, prints it as a table and writes bench.json. It takes half
an hour.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from catwalk.entry_point import entry_point
from tests.bench.measure import Growth, Measurement
from tests.bench.parts import PARTS, measure


@entry_point("bench")
def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="measure only this; may be repeated")
    chosen = parser.parse_args().only or list(PARTS)
    found, failed = [], []
    for name in chosen:
        try:
            found += _alone(name)
        except Exception:
            traceback.print_exc()
            failed.append(name)
    setting = machine()
    print(f"\n{setting}")
    for header, rows in groupby(found, attrgetter("header")):
        print("", header, *(entry.row for entry in rows), sep="\n")
    results = [asdict(entry) for entry in found]
    Path("bench.json").write_text(json.dumps({"machine": setting, "results": results}, indent=1) + "\n")
    if failed:
        sys.exit(f"not measured, for the errors above: {', '.join(failed)}; run each again with --only")


def _alone(name: str) -> Sequence[Measurement | Growth]:
    """Measures a part in a process of its own, so that no part changes another's environment or memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, name).result()


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

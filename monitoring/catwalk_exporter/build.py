"""Builds the report of a run or the comparison of several, in a separate process, which keeps matplotlib and any
failure out of the exporter.

    python -m catwalk_exporter.build FOLDER RUN [RUN...]

A report goes into the ledger. If the ledger refuses it, for example because the credentials are read-only, it goes into
the folder, and a line on standard output says why. A comparison always goes into the folder; its first run is the
baseline.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from catwalk import extras
from catwalk.entry_point import entry_point
from catwalk.errors import CatwalkError, StoreError
from catwalk.ledger.runs import Ledger, Run
from catwalk.storage.opening import open_store

SECONDS = 300
MEMORY_BYTES = 2**30
"""The limit of the data segment; a report with 20,000 test examples takes a seventh of it."""


@entry_point("catwalk report")
def main() -> None:
    """Entry point."""
    folder, *run_ids = sys.argv[1:]
    _limit()
    try:
        if len(run_ids) == 1:
            _build(Ledger(open_store()).run(run_ids[0]), Path(folder))
        else:
            _compare(run_ids, Path(folder))
    except MemoryError:
        raise CatwalkError(f"it takes more than {MEMORY_BYTES // 2**20:,} MiB of memory") from None


def _build(run: Run, folder: Path) -> None:
    with extras.required("report"):
        from catwalk.report.build import build, write
        from catwalk.stages.artifacts import reports
    before = _version(run)
    report = build(run)
    try:
        reports.store(run, report)
    except StoreError as error:
        write(report, folder)
        print(error)
        return
    if _version(run) != before:  # the next attempt may have ended meanwhile; its report would never be built
        run.store.delete(run.key("report.html"))


def _compare(run_ids: Sequence[str], folder: Path) -> None:
    with extras.required("report"):
        from catwalk.report.comparison.differences import compare
        from catwalk.report.comparison.page import build
    page = build(compare(open_store(), run_ids), run_address="/runs/{}")
    (folder / "report.html").write_bytes(page.html)


def _version(run: Run) -> float:
    """Returns a value that changes when the run does; NaN, which never equals itself, while the run continues."""
    summary = run.summary()
    return summary.updated if summary and summary.state != "running" else math.nan


def _limit() -> None:
    """Limits the time and memory of this process, and gives it a lower priority than the exporter."""
    signal.alarm(SECONDS)  # even if the exporter has died
    os.nice(10)
    with suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    with suppress(OSError):  # if memory still runs out, this process is killed first
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    sys.exit(main())

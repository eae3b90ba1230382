"""Stores a report: its page and figures are in the run's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catwalk.ledger.runs import Run

if TYPE_CHECKING:
    from catwalk.report.build import Report


def store(run: Run, report: Report) -> None:
    """Stores ``figures/*.png`` and then ``report.html``; replaces earlier ones.

    Raises:
        StoreError: The store is not writable.
    """
    for name, body in report.figures.items():
        run.store.put(run.key(f"figures/{name}.png"), body)
    for name in report.missing:
        run.store.delete(run.key(f"figures/{name}.png"))
    run.store.put(run.key("report.html"), report.html)

"""How the command line shows a reference."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from catwalk.ledger.records.reference import ReferenceRecord


def table(record: ReferenceRecord) -> Table:
    """One line per feature."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    made.add_column("feature", overflow="fold")
    made.add_column("of", no_wrap=True)
    for name in ("examples", "bins", "floor", "φ"):
        made.add_column(name, justify="right", no_wrap=True)
    for feature in record.features:
        figures = (
            f"{sum(feature.examples):,}",
            str(len(feature.bins)),
            f"{feature.floor:g}",
            f"{feature.dispersion:.2f}",
        )
        made.add_row(escape(feature.name), f"{feature.side}s", *figures)
    return made

"""Each model's last run and decision, however old: the families of a run end two hours after it.

At most two series per model, whatever the ledger's size; an alert or a table can use them without looking back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from catwalk.ledger.models.overview import PIPELINE
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.summaries import shown_state
from catwalk.telemetry import catalogue
from catwalk.telemetry.catalogue import Metric
from catwalk_exporter.snapshot import Snapshot


def last_runs(
    snapshot: Snapshot, now: float, stalled_seconds: float
) -> Iterator[tuple[Metric, float, tuple[str, ...]]]:
    """Yields each model's last run and last decision, under the model's current name.

    Args:
        snapshot: The snapshot of the ledger.
        now: The Unix time.
        stalled_seconds: How long a running run may be silent before it counts as stalled.
    """
    renamed = {known.model: known.renamed_to for known in snapshot.models if known.renamed_to}
    started: dict[str, SummaryRecord] = {}
    decided: dict[str, SummaryRecord] = {}
    for summary in sorted(snapshot.summaries, key=lambda run: run.trigger in PIPELINE):  # oldest first: the last wins
        model = _name_now(summary.model, renamed)
        started[model] = summary
        if summary.decision:
            decided[model] = summary
    for model, run in started.items():
        yield catalogue.LAST_RUN, run.started, (model, run.run_id, shown_state(run, now, stalled_seconds))
    for model, run in decided.items():
        at = run.decided or run.finished or run.updated
        yield catalogue.LAST_DECISION, at, (model, run.run_id, run.decision, run.reason)


def _name_now(model: str, renamed: Mapping[str, str]) -> str:
    """Returns the name after all renamings; in a damaged ledger they may form a cycle."""
    for _ in renamed:
        model = renamed.get(model, model)
    return model

"""What came last of each model, however long ago: the families of runs end two hours after their run.

Two series a model at most, which the ledger's size does not change; an alert or a table stands on them without looking
back.
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
    """Each model's last run and last decision, under the name that the model has now.

    Args:
        snapshot: of the ledger.
        now: Unix time.
        stalled_seconds: silence after which a running run counts as stalled.
    """
    renamed = {known.model: known.renamed_to for known in snapshot.models if known.renamed_to}
    started: dict[str, SummaryRecord] = {}
    decided: dict[str, SummaryRecord] = {}
    for summary in sorted(snapshot.summaries, key=lambda run: run.trigger in PIPELINE):  # oldest first: the last stays
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
    """After each of its renamings; a damaged ledger may have them go in a circle."""
    for _ in renamed:
        model = renamed.get(model, model)
    return model

"""The comparison of any runs: which runs an address selects, and the page around the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from catwalk.ledger.records.summary import SummaryRecord
from catwalk.report import NAVIGATION
from catwalk.web.forms import choice, form, hidden, submit
from catwalk.web.markup import link
from catwalk_exporter.pages.run_query import fields
from catwalk_exporter.pages.view import QueryError, View

MOST = 20
"""The most runs in a comparison: its figures can distinguish that many, and it is built in a few seconds."""
_FRESH_SECONDS = 300.0
"""The maximum age of a comparison with a run that is still running."""
_BACK = link("/", "Select runs")


def chosen(parameters: str, view: View) -> list[SummaryRecord]:
    """Returns the runs that an address selects: first the baseline, by default the oldest, then the others by age.

    Raises:
        QueryError: there are too few or too many, or one doesn't exist.
    """
    given = fields(parameters)
    ids = {value for name, value in given if name == "run"}
    baseline = next((value for name, value in given if name == "baseline"), "")
    if not 2 <= len(ids) <= MOST:
        selected = {0: "no run is", 1: "one run is"}.get(len(ids), f"{len(ids)} runs are")
        raise QueryError(f"A comparison takes 2 to {MOST} runs; {selected} selected.")
    runs = [run for run in view.snapshot.summaries if run.run_id in ids]
    if missing := sorted(ids - {run.run_id for run in runs}):
        raise QueryError(f"There is no run {missing[0]:.60}.", 404)
    if baseline and baseline not in ids:
        raise QueryError(f"The baseline {baseline:.60} is not one of the compared runs.")
    return sorted(runs, key=lambda run: (run.run_id != baseline, run.run_id))


def address(runs: Sequence[SummaryRecord]) -> str:
    """Returns the address of a comparison: one for each set of runs and baseline."""
    oldest = min(runs, key=lambda run: run.run_id)
    pairs = [("run", run.run_id) for run in sorted(runs, key=lambda run: run.run_id)]
    return f"/compare?{urlencode(pairs + [('baseline', runs[0].run_id)] * (runs[0] is not oldest))}"


def version(runs: Sequence[SummaryRecord], now: float) -> tuple[float, ...]:
    """Returns a value that changes when a run does, and every five minutes while one is running."""
    return tuple(now // _FRESH_SECONDS if run.state == "running" else run.updated for run in runs)


def refusal(view: View, error: QueryError) -> str:
    """Returns the page for an address whose runs can't be compared."""
    return view.message("Comparison", str(error), _BACK)


def waiting(view: View, runs: Sequence[SummaryRecord], refresh_seconds: int) -> str:
    """Returns the page to show until the comparison is built."""
    sentence = f"The comparison of {len(runs)} runs is being built. This page shows it as soon as it is ready."
    return view.message("Comparison", sentence, _BACK, refresh_seconds=refresh_seconds)


def linked(body: bytes, view: View, runs: Sequence[SummaryRecord]) -> bytes:
    """Returns the comparison with navigation and a field to choose another baseline."""
    ids = sorted(run.run_id for run in runs)
    around = view.header("Runs", _BACK)
    baseline = form(
        "/compare",
        *(hidden("run", run_id) for run_id in ids),
        choice("Baseline", "baseline", {run_id: run_id for run_id in ids}, runs[0].run_id),
        submit("Change"),
        css="line",
    )
    return body.replace(NAVIGATION.encode(), (around.text + baseline.text).encode(), 1)

"""Budgets of series, so that runs never exceed what Prometheus accepts from statsd_exporter.

Prometheus drops the whole scrape if it exceeds `sample_limit`: Airflow's metrics, the canary and the curves of every
run. So runs have a share of that limit. A new run or sweep takes a part of what is left of the share, never all of it
(:mod:`catwalk.replay.room` writes that into the store), and returns it when statsd_exporter drops the gauges. The sum
stays below the share whatever is started, and when. What a run may not send is left out of Prometheus
(:mod:`catwalk.telemetry.points` decides what) and stays in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from catwalk.ledger.records.run import RunRecord
from catwalk.ledger.records.training import MAX_EPOCHS
from catwalk.telemetry.catalogue import RUN_TTL_SECONDS
from catwalk.telemetry.points import CURVE_SERIES, STAGE_SERIES, fixed_series, series_budget

SAMPLE_LIMIT = 200_000
"""`sample_limit` of the job statsd_exporter in prometheus.yml."""
RUNS_SHARE = 60_000
"""The share of the limit for runs; a scrape of this many series takes statsd_exporter 0.7 s of CPU. The rest is for
Airflow: 100 DAGs of eight tasks have about 70,000.
"""
OF_A_SWEEP, OF_A_RUN = 0.75, 0.25
"""The largest part of what is left that a sweep, or a single run, may take."""
OPEN_SECONDS = 2 * 3_600.0
"""How long a part is held after a run was opened or last reported that it continues, if it then reports nothing more,
because it may have been killed. Longer than the gauges of such a run stay in statsd_exporter.
"""
SENT_SECONDS = RUN_TTL_SECONDS + 60.0
"""How long a part is held after its points were last sent, which is the last thing that a run does."""
_TRIAL_SERIES = 3 * STAGE_SERIES
"""The series of a trial besides its epochs: ingest, train, publish. The chosen one has :func:`fixed_series`."""


@dataclass(frozen=True)
class Part:
    """The series that a run, or all trials of a sweep together, may have in statsd_exporter."""

    each: int
    """The most series of one run."""
    total: int
    until: float
    """The Unix time until which it is held."""
    runs: int = 1
    """How many runs share it."""
    sent: list[str] = field(default_factory=list)
    """The ids of runs that have sent all their points, and will send no more."""

    def after(self, run_id: str, series: int, now: float) -> Part:
        """Returns the part after a run has sent everything: once all runs have, it is held while statsd_exporter shows
        their series.

        The rest of a single run's part is free again: a run that logs gets as much as any run may have, because what it
        will log is unknown in advance.
        """
        sent = sorted({*self.sent, run_id})
        until = now + SENT_SECONDS
        total = series if self.runs == 1 else self.total
        return replace(self, sent=sent, total=total, until=until if len(sent) >= self.runs else max(until, self.until))


@dataclass(frozen=True)
class Parts:
    """The content of ``telemetry/series.json``: parts by run id or sweep id."""

    held: dict[str, Part] = field(default_factory=dict)

    def left(self) -> int:
        """Returns how many series are free."""
        return RUNS_SHARE - sum(part.total for part in self.held.values())


def smallest(run: RunRecord) -> int:
    """Returns the budget of a run if the store is unavailable: its test, its stages, and five points per curve."""
    return fixed_series(len(run.classes), run.metric_series) + 5 * (CURVE_SERIES + run.metric_series)


def taken(parts: Parts, run: RunRecord, trials: int, epochs: int, now: float) -> tuple[str, Part]:
    """Returns the part of a run that is being opened, a new one or its sweep's, and the id that holds it.

    Args:
        parts: The parts that are held.
        run: The run whose record is about to be written.
        trials: The number of trials of its sweep; 1 without a sweep.
        epochs: The epochs of the longest trial; 0 if unknown.
        now: Seconds since the epoch.
    """
    name = run.sweep or run.run_id
    known = parts.held.get(name) or _part(parts.left(), trials, epochs, run)
    return name, replace(known, until=now + OPEN_SECONDS)


def held_on(parts: Parts, run: RunRecord, now: float) -> tuple[str, Part] | None:
    """Extends the part of a run that continues, for as long as one that is opened now; returns it and the id that holds
    it.

    Returns:
        None if the part is no longer held, because the run was silent for a long time and others have taken its room.
    """
    name = run.sweep if run.sweep in parts.held else run.run_id
    size = run.series_budget or 0
    known = parts.held.get(name) or (Part(size, size, 0) if size <= parts.left() else None)
    return (name, replace(known, until=max(known.until, now + OPEN_SECONDS))) if known else None


def taken_again(parts: Parts, run: RunRecord, series: int, now: float) -> tuple[str, Part] | None:
    """Extends a run's part for as long as points sent now stay in statsd_exporter, or takes a new one if the run has
    none.

    Returns:
        The part, and the id that holds it; None if there is no room for this many series.
    """
    name = run.sweep if run.sweep in parts.held else run.run_id
    known = parts.held.get(name) or Part(series, 0, 0)
    fits = series <= min(known.each, known.total + parts.left())
    return (name, known.after(run.run_id, series, now)) if fits else None


def given_up(parts: Parts, run_id: str, seen: float) -> tuple[str, Part] | None:
    """Shortens the part of a run that was last seen at this time and sends no more: it is held while statsd_exporter
    shows its series.

    Otherwise a model whose runs are killed one after another would soon hold all series, and leave none for other
    models.
    """
    known = parts.held.get(run_id)
    return (run_id, replace(known, until=min(known.until, seen + SENT_SECONDS))) if known else None


def _part(left: int, trials: int, epochs: int, run: RunRecord) -> Part:
    """Returns a fair part of what is left, and no more than the run can use."""
    makes = len(run.classes), run.metric_series
    fixed = fixed_series(*makes)
    useful = series_budget(min(epochs, MAX_EPOCHS), *makes) - fixed
    if trials == 1:
        of_epochs = min(int(OF_A_RUN * left) - fixed, useful)
        total = of_epochs + fixed
    else:
        chosen = fixed - _TRIAL_SERIES
        of_epochs = min((int(OF_A_SWEEP * left) - chosen) // trials - _TRIAL_SERIES, useful)
        total = trials * (of_epochs + _TRIAL_SERIES) + chosen
    return Part(of_epochs + fixed, total, 0, trials) if of_epochs >= 0 else Part(0, 0, 0, trials)

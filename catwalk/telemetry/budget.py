"""Who may make how many series, so that nothing that is allowed exceeds what Prometheus accepts of statsd_exporter.

Prometheus drops a scrape beyond `sample_limit` as a whole: Airflow's metrics, the canary and the curves of every run.
So runs have a share of that limit. Whoever opens a run or a sweep takes a part of what is left of the share, never all
of it (:mod:`catwalk.replay.room` writes that into the store); it comes back when statsd_exporter drops the gauges.
The sum is below the share whatever is started, and when. What a run may not send is left out of Prometheus
(:mod:`catwalk.telemetry.points` says what) and kept in the ledger.
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
"""Of these, for runs; each scrape of so many takes statsd_exporter 0.7 s of CPU. The rest is Airflow's: 100 DAGs of
eight tasks make about 70,000."""
OF_A_SWEEP, OF_A_RUN = 0.75, 0.25
"""The part of what is left that a sweep, or a single run, may take at most."""
OPEN_SECONDS = 2 * 3_600.0
"""For so long a part is held after a run was opened, or has last said that it goes on, if it says no more: it may have
been killed. Longer than the gauges of such a run stay in statsd_exporter."""
SENT_SECONDS = RUN_TTL_SECONDS + 60.0
"""For so long after its points were last sent, which is the last thing that a run does."""
_TRIAL_SERIES = 3 * STAGE_SERIES
"""What a trial makes besides its epochs: ingest, train, publish. The chosen one makes :func:`fixed_series`."""


@dataclass(frozen=True)
class Part:
    """What a run, or all trials of a sweep together, may have in statsd_exporter."""

    each: int
    """Series of one run at most."""
    total: int
    until: float
    """Unix time."""
    runs: int = 1
    """How many share it."""
    sent: list[str] = field(default_factory=list)
    """Run ids of those that have sent all their points, and make no more."""

    def after(self, run_id: str, series: int, now: float) -> Part:
        """The part when a run has sent all that it has: once all have, held while statsd_exporter shows that.

        What a single run was given beyond these series is free again: one that logs is given as much as a run may have,
        since nobody knows before what it will log.
        """
        sent = sorted({*self.sent, run_id})
        until = now + SENT_SECONDS
        total = series if self.runs == 1 else self.total
        return replace(self, sent=sent, total=total, until=until if len(sent) >= self.runs else max(until, self.until))


@dataclass(frozen=True)
class Parts:
    """``telemetry/series.json``: run id or sweep id → its part."""

    held: dict[str, Part] = field(default_factory=dict)

    def left(self) -> int:
        """Series that nobody has taken."""
        return RUNS_SHARE - sum(part.total for part in self.held.values())


def smallest(run: RunRecord) -> int:
    """What a run makes of it where the store can't be asked: its test, its stages, five points a curve."""
    return fixed_series(len(run.classes), run.metric_series) + 5 * (CURVE_SERIES + run.metric_series)


def taken(parts: Parts, run: RunRecord, trials: int, epochs: int, now: float) -> tuple[str, Part]:
    """The part of a run that is opened, a new one or that of its sweep, and by whose id it is held.

    Args:
        parts: that are held.
        run: whose record is about to be written.
        trials: of its sweep; 1 without one.
        epochs: of the longest of them; 0: it is not known.
        now: seconds since the epoch.
    """
    name = run.sweep or run.run_id
    known = parts.held.get(name) or _part(parts.left(), trials, epochs, run)
    return name, replace(known, until=now + OPEN_SECONDS)


def held_on(parts: Parts, run: RunRecord, now: float) -> tuple[str, Part] | None:
    """The part of a run that goes on, held for as long as that of one that is opened now, and by whose id.

    Returns:
        None where it is held by nobody any more, for the run was silent for long, and others have taken the room.
    """
    name = run.sweep if run.sweep in parts.held else run.run_id
    size = run.series_budget or 0
    known = parts.held.get(name) or (Part(size, size, 0) if size <= parts.left() else None)
    return (name, replace(known, until=max(known.until, now + OPEN_SECONDS))) if known else None


def taken_again(parts: Parts, run: RunRecord, series: int, now: float) -> tuple[str, Part] | None:
    """A run's part, held for as long as what is sent now stays in statsd_exporter; a new one for a run that has none.

    Returns:
        The part, and by whose id it is held; None where so many series have no room.
    """
    name = run.sweep if run.sweep in parts.held else run.run_id
    known = parts.held.get(name) or Part(series, 0, 0)
    fits = series <= min(known.each, known.total + parts.left())
    return (name, known.after(run.run_id, series, now)) if fits else None


def given_up(parts: Parts, run_id: str, seen: float) -> tuple[str, Part] | None:
    """The part of a run that was last seen then and makes no more: held while statsd_exporter shows what it has sent.

    Else a model whose runs are killed one after the other would soon hold all there is, and leave other models nothing.
    """
    known = parts.held.get(run_id)
    return (run_id, replace(known, until=min(known.until, seen + SENT_SECONDS))) if known else None


def _part(left: int, trials: int, epochs: int, run: RunRecord) -> Part:
    """A fair part of what is left, and no more than is of use."""
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

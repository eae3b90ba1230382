"""A history of many runs of three models: which ran when, and what the ledger has of each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from catwalk.ledger.records.model import ChampionRecord
from catwalk.ledger.records.summary import SummaryRecord
from tests.bench.many_runs.templates import Template

SIZES = (100, 1_000, 10_000)
DAYS = 90
"""What dashboards look at."""
DAY = 86_400
GAP = 365 * DAY / max(SIZES)
"""Seconds between the ends of two runs: 27 a day, as of three models that are retrained each night, and a sweep of one
of them. So 100 runs are four days, 1,000 five weeks, and 10,000 a year.
"""
_SECONDS = 600
"""Duration of each run."""
_TRIAL = 5
"""Every fifth run is a trial of a sweep that wasn't chosen."""


@dataclass(frozen=True)
class Past:
    """One run that has ended."""

    number: int
    """0 for the newest."""
    template: Template
    ended: float
    lasts: float
    """Seconds until the next run of its model ends."""

    @property
    def started(self) -> float:
        """Unix time."""
        return self.ended - _SECONDS

    @property
    def trial(self) -> bool:
        """Whether a sweep passed it over."""
        return self.number % _TRIAL == _TRIAL - 1

    @cached_property
    def run_id(self) -> str:
        """Its id, which sorts by time."""
        return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self.started))}-{self.number:08x}"

    @property
    def summary(self) -> SummaryRecord:
        """Its summary in the ledger."""
        times = {"started": self.started, "updated": self.ended, "finished": self.ended, "decided": self.ended}
        run = replace(self.template.summary, run_id=self.run_id, dag_id="nightly", dag_run_id=self.run_id, **times)
        if not self.trial:
            return run
        return replace(run, trigger="sweep", sweep="night", decision="", reason="", sentence="", checks=[])

    @property
    def champion(self) -> ChampionRecord:
        """The record of its promotion."""
        return replace(self.template.champion, run_id=self.run_id, promoted=self.ended)


def past_runs(templates: Sequence[Template], count: int, now: float) -> list[Past]:
    """Returns this number of runs, of each model in turn; the oldest first."""
    models = len(templates)
    return [
        Past(number, templates[number % models], now - 60 - number * GAP, models * GAP)
        for number in reversed(range(count))
    ]


def champions(runs: Iterable[Past]) -> dict[str, Past]:
    """Returns for each model the run that was promoted last: every hundredth one is, or else the first."""
    found: dict[str, Past] = {}
    for run in runs:
        model = run.template.summary.model
        if model not in found or (not run.trial and run.number // 3 % 100 == 10):
            found[model] = run
    return found

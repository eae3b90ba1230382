"""What there is of each model, from its runs, its champion and what is known of it beside: one rule for all who tell.

What a model's own record says goes first, which only runs that ship and people write. What it leaves out its last run
of a pipeline says, or where it has none, its last run at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from catwalk.environment.schedule import Schedule
from catwalk.ledger.models.watched import day, in_use
from catwalk.ledger.records.model import ChampionRecord, WatchedRecord
from catwalk.ledger.records.summary import SummaryRecord

PIPELINE = ("schedule", "manual", "alert")
"""Triggers whose runs count as the pipeline's own; sweeps and the command line try things out."""
_WEIGHT = {"schedule": 2, "manual": 1, "alert": 1}
"""Trigger → whose run speaks for its model, before one with less."""


@dataclass(frozen=True)
class Overview:
    """What there is of a model, in a line."""

    model: str
    problem: str
    """Its kind; empty: not known yet."""
    schedule: str
    """Empty: it has none."""
    owner: str
    runs: int
    last_run: str
    """run_id; empty: none."""
    champion: str
    """run_id; empty: none."""
    state: str
    """In words, with its other name."""
    links: dict[str, str]
    thresholds: dict[str, Any]
    """As run.json has them, like their reasons."""
    threshold_reasons: dict[str, str]
    dag_id: str
    """Of the DAG that runs it; empty: none does."""
    in_use: bool
    """Neither retired nor renamed."""
    renamed_to: str
    """Its name by now; empty: this one."""
    tried: bool
    """All that there is of it are runs that no pipeline has started."""
    due: float | None
    """Unix time at which its next scheduled run should begin; None: it is not due."""
    good_due: float | None
    """Unix time by which two scheduled runs in a row will have brought nothing; None: it is not due."""


@dataclass(frozen=True)
class _Model:
    """All that is said of a model, by whom it may be."""

    said: WatchedRecord | None
    runs: list[SummaryRecord]
    """Oldest first."""
    champion: str
    schedules: dict[tuple[str, str], str]
    """What has a schedule → the one that its last run has told."""
    default: Schedule
    """Of a DAG whose file says none."""
    since: float
    """Unix time before which nothing is owed of a schedule that has begun no run yet."""

    @property
    def speaker(self) -> SummaryRecord | None:
        """The run that speaks for the model where its record says nothing."""
        return max(reversed(self.runs), key=lambda run: _WEIGHT.get(run.trigger, 0), default=None)

    @property
    def schedule(self) -> str:
        run = self.speaker
        if (self.said and self.said.schedule) or not run:
            return self.said.schedule if self.said else ""
        told = self.schedules.get(_scheduled(run), run.schedule)
        return told or ("" if run.problem or run.trigger not in PIPELINE else str(self.default))

    @property
    def _said_by_hand(self) -> bool:
        return bool(self.said and self.said.by and not self.said.run_id)

    def due(self) -> tuple[float | None, float | None]:
        """When its next run, and its next good one, are due: after its last scheduled one, or after somebody has made
        it known."""
        scheduled = [run for run in self.runs if run.trigger == "schedule"]
        if not in_use(self.said, scheduled):
            return None, None
        if not (scheduled or (self.said and self.said.schedule)):
            return self._first_due(), None
        since = [self.said.changed] if self.said and (self._said_by_hand or not scheduled) else []
        began = [run.started for run in scheduled]
        good = [run.started for run in scheduled if run.state == "succeeded"] or sorted(began)[:1]
        times = Schedule.of(self.schedule)
        after, well = times.after(max(since + began)), times.after(max(since + good))
        return next(after, None), next(islice(well, 1, 2), None)

    def _first_due(self) -> float | None:
        """When the first scheduled run is due of a model that people alone have run so far: after the last of these
        runs, which told of the schedule, and since who asks began, for the default may have changed meanwhile."""
        by_hand = [run.started for run in self.runs if run.trigger in PIPELINE and run.ships]
        due = Schedule.of(self.schedule).after(max(self.since, *by_hand)) if by_hand else ()
        return next(iter(due), None)


def overview(
    summaries: Iterable[SummaryRecord],
    known: Iterable[WatchedRecord],
    champions: Iterable[ChampionRecord],
    schedule: Schedule,
    since: float,
) -> list[Overview]:
    """Every model that has runs, a champion or a record of its own, by name.

    Args:
        summaries: oldest run first.
        known: a record a model.
        champions: one a model.
        schedule: of a DAG whose file says none.
        since: Unix time from which a schedule owes its first run, where people alone have run a model: when who tells
            of it began.
    """
    runs: dict[str, list[SummaryRecord]] = {}
    schedules: dict[tuple[str, str], str] = {}
    for summary in summaries:
        runs.setdefault(summary.model, []).append(summary)
        if summary.trigger in PIPELINE:  # a run by hand tells of a schedule that has changed, too
            schedules[_scheduled(summary)] = summary.schedule
    said = {record.model: record for record in known}
    serving = {champion.model: champion.run_id for champion in champions}
    return [
        _of(model, _Model(said.get(model), runs.get(model, []), serving.get(model, ""), schedules, schedule, since))
        for model in sorted({*runs, *said, *serving})
    ]


def _scheduled(run: SummaryRecord) -> tuple[str, str]:
    """What has a schedule: a DAG of the stages, or the model of a run that logs."""
    return run.dag_id, run.model if run.problem else ""


def _of(model: str, facts: _Model) -> Overview:
    said, speaker = facts.said or WatchedRecord(model), facts.speaker
    due, good_due = facts.due()
    return Overview(
        model=model,
        problem=str(said.problem.get("kind", "")) or (speaker.problem or "multiclass" if speaker else ""),
        schedule=facts.schedule,
        owner=said.owner or (speaker.owner if speaker else ""),
        runs=len(facts.runs),
        last_run=facts.runs[-1].run_id if facts.runs else "",
        champion=facts.champion,
        state=_state(said, facts.runs),
        links=said.links or (speaker.links if speaker else {}),
        thresholds=said.thresholds,
        threshold_reasons=said.threshold_reasons,
        dag_id=speaker.dag_id if speaker and speaker.trigger in PIPELINE else "",
        in_use=in_use(said, facts.runs),
        renamed_to=said.renamed_to,
        tried=not (facts.said or facts.champion or any(run.trigger in PIPELINE for run in facts.runs)),
        due=due,
        good_due=good_due,
    )


def _state(known: WatchedRecord, runs: list[SummaryRecord]) -> str:
    if known.renamed_to:
        return f"renamed to {known.renamed_to} on {day(known.retired)}"
    if not in_use(known, runs):
        return f"retired on {day(known.retired)}"
    return f"in use, formerly {known.formerly}" if known.formerly else "in use" if runs else "waits for its first run"

"""An overview of each model, from its runs, its champion and its own record: one rule for all readers.

The model's own record has precedence; only runs that ship, and people, write it. For what it leaves out, the model's
last pipeline run counts, or its last run if it has no pipeline runs.
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
"""Triggers of pipeline runs; sweeps and the command line are for experiments."""
_WEIGHT = {"schedule": 2, "manual": 1, "alert": 1}
"""Trigger → precedence of its runs in a model's overview."""


@dataclass(frozen=True)
class Overview:
    """The facts of a model, in a line."""

    model: str
    problem: str
    """The kind of problem; empty if it is not known yet."""
    schedule: str
    """The schedule; empty if there is none."""
    owner: str
    runs: int
    last_run: str
    """run_id; empty if there is none."""
    champion: str
    """run_id; empty if there is none."""
    state: str
    """The state in words, with the model's other name."""
    links: dict[str, str]
    thresholds: dict[str, Any]
    """As in run.json, like their reasons."""
    threshold_reasons: dict[str, str]
    dag_id: str
    """The DAG that runs it; empty if none does."""
    in_use: bool
    """True unless it is retired or renamed."""
    renamed_to: str
    """Its current name; empty if it wasn't renamed."""
    tried: bool
    """Whether it has only runs that no pipeline started."""
    due: float | None
    """Unix time at which its next scheduled run should begin; None if none is due."""
    good_due: float | None
    """Unix time by which two scheduled runs in a row will have failed to deliver; None if none is due."""


@dataclass(frozen=True)
class _Model:
    """All sources of facts on a model."""

    said: WatchedRecord | None
    runs: list[SummaryRecord]
    """The runs, oldest first."""
    champion: str
    schedules: dict[tuple[str, str], str]
    """DAG or model with a schedule → the schedule that its last run recorded."""
    default: Schedule
    """The schedule of a DAG whose file sets none."""
    since: float
    """Unix time from which a schedule without any run yet is due."""

    @property
    def speaker(self) -> SummaryRecord | None:
        """The run whose facts count if the model's own record has none."""
        return max(reversed(self.runs), key=lambda run: _WEIGHT.get(run.trigger, 0), default=None)

    @property
    def schedule(self) -> str:
        run = self.speaker
        if (self.said and self.said.schedule) or not run:
            return self.said.schedule if self.said else ""
        recorded = self.schedules.get(_scheduled(run), run.schedule)
        return recorded or ("" if run.problem or run.trigger not in PIPELINE else str(self.default))

    @property
    def _said_by_hand(self) -> bool:
        return bool(self.said and self.said.by and not self.said.run_id)

    def due(self) -> tuple[float | None, float | None]:
        """When its next run, and its next good run, are due: after its last scheduled run, or after someone added the
        model.
        """
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
        """When the first scheduled run of a model with only manual runs is due: after the last of these runs, which
        recorded the schedule, and not before `since`, because the default may have changed.
        """
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
        summaries: The summaries of runs, oldest first.
        known: The models' own records.
        champions: The champions.
        schedule: The schedule of a DAG whose file sets none.
        since: Unix time from which the first scheduled run of a model with only manual runs can be due: the start of
            the reader.
    """
    runs: dict[str, list[SummaryRecord]] = {}
    schedules: dict[tuple[str, str], str] = {}
    for summary in summaries:
        runs.setdefault(summary.model, []).append(summary)
        if summary.trigger in PIPELINE:  # a manual run records a changed schedule too
            schedules[_scheduled(summary)] = summary.schedule
    said = {record.model: record for record in known}
    serving = {champion.model: champion.run_id for champion in champions}
    return [
        _of(model, _Model(said.get(model), runs.get(model, []), serving.get(model, ""), schedules, schedule, since))
        for model in sorted({*runs, *said, *serving})
    ]


def _scheduled(run: SummaryRecord) -> tuple[str, str]:
    """The owner of a run's schedule: a DAG of the stages, or the model of a run that logs."""
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

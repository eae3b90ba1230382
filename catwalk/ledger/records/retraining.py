"""Retraining on request, a model: what is asked for, what runs, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

State = Literal["idle", "wanted", "running", "watched", "cooling", "breaker"]
STATES: tuple[State, ...] = ("idle", "wanted", "running", "watched", "cooling", "breaker")
Refusal = Literal[
    "off", "cooldown", "budget", "breaker", "paused", "no_newer_data", "no_labels_since_onset", "resolved_first"
]
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)
Verdict = Literal["", "shipped", "held", "failed"]


@dataclass(frozen=True)
class RetrainingSettings:
    """What a person has said of a model's retraining on request."""

    on: bool = False
    dag_id: str = ""
    """The DAG that retrains the model."""
    cooldown_seconds: float = 86_400.0
    """After the judgement on a retraining, before the next one."""
    budget: int = 3
    """Runs asked for in seven sliding days."""
    watch_seconds: float = 172_800.0
    """For how long at least a model that has shipped must be in service, before the retraining counts as a success."""
    watch_predictions: int = 1_000
    """Predictions that it must have made by then."""
    strikes: int = 2
    """Retrainings in a row that have not helped, which open the breaker."""


@dataclass(frozen=True)
class RequestRecord:
    """One retraining that an alert has asked for: an episode."""

    number: int
    dag_run_id: str
    """Of the run in Airflow: its own, made of model and number, or that of a scheduled run which it has adopted."""
    alert: str
    """The alert that has asked."""
    onset: float
    """Unix time at which that began, like the times below."""
    opened: float
    fingerprint: str = ""
    """Tells the alert from others of its name."""
    posted: float = 0.0
    """When Airflow was last about to be asked for the run; 0: not yet."""
    started: float = 0.0
    """When Airflow was known to have the run; 0: it has none. From here on it counts in the budget."""
    adopted: bool = False
    """The run is a scheduled one, which costs no budget."""
    run_id: str = ""
    """In the ledger; empty: not known yet."""
    judged: float = 0.0
    serving: float = 0.0
    """When what has shipped was first seen to make predictions; 0: not yet."""
    verdict: Verdict = ""
    reason: str = ""
    """Of the verdict, or of the end without one, in words."""
    alerts: list[str] = field(default_factory=list)
    """Further alerts that have fired meanwhile."""


@dataclass(frozen=True)
class RefusedRecord:
    """The last request that was refused, so that its repeats are not counted."""

    reason: Refusal
    alert: str
    fingerprint: str
    began: float
    at: float


@dataclass(frozen=True)
class SlotRecord:
    """``retraining/<model>.json``: the one retraining of a model that there may be at a time. Changed by If-Match
    only."""

    model: str
    settings: RetrainingSettings = field(default_factory=RetrainingSettings)
    state: State = "idle"
    since: float = 0.0
    """Unix time at which this state began."""
    number: int = 0
    """Of the last episode."""
    episode: RequestRecord | None = None
    """The one under way, or the last."""
    history: list[RequestRecord] = field(default_factory=list)
    """Those before, oldest first."""
    strikes: int = 0
    """Retrainings in a row that have not helped."""
    waiting: str = ""
    """What it waits for, in words; empty: for nothing that fails."""
    waiting_since: float = 0.0
    """Since when it waits for that."""
    why: str = ""
    """Why the breaker is open, in words."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Reason → requests refused for it, ever."""
    refused: RefusedRecord | None = None
    changed_by: str = ""
    """The person who last turned it on or off, or reset it."""
    changed: float = 0.0
    """When that was."""
    write: str = ""
    """Random, another one at each write: no two versions have the same bytes."""


@dataclass(frozen=True)
class ClaimRecord:
    """``episodes/<model>/<number>/claim``: the run of the ledger that does what an episode asks for. Written once."""

    run_id: str
    dag_run_id: str

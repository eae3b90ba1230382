"""A model's retraining on request: what was requested, what is running, and the results."""

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
    """A person's settings for a model's retraining on request."""

    on: bool = False
    dag_id: str = ""
    """The DAG that retrains the model."""
    cooldown_seconds: float = 86_400.0
    """Minimum time from the verdict on a retraining to the next request."""
    budget: int = 3
    """Maximum number of requested runs in seven sliding days."""
    watch_seconds: float = 172_800.0
    """Minimum time that a shipped model must be in service before the retraining counts as a success."""
    watch_predictions: int = 1_000
    """Minimum number of predictions that it must have made by then."""
    strikes: int = 2
    """Retrainings in a row without success that open the breaker."""


@dataclass(frozen=True)
class RequestRecord:
    """One retraining that an alert requested: an episode."""

    number: int
    dag_run_id: str
    """Id of the run in Airflow: its own, made of model and number, or that of an adopted scheduled run."""
    alert: str
    """The alert that requested it."""
    onset: float
    """When the alert started firing, as a Unix time, like the times below."""
    opened: float
    fingerprint: str = ""
    """Distinguishes the alert from others of the same name."""
    posted: float = 0.0
    """When the last request to Airflow for the run was about to be sent; 0 if none was."""
    started: float = 0.0
    """When Airflow was known to have the run; 0 if it has none. From then on it counts in the budget."""
    adopted: bool = False
    """Whether the run is a scheduled one, which doesn't use the budget."""
    run_id: str = ""
    """The run in the ledger; empty if it is not known yet."""
    judged: float = 0.0
    serving: float = 0.0
    """When the shipped version was first seen to make predictions; 0 if it was not yet."""
    verdict: Verdict = ""
    reason: str = ""
    """The reason for the verdict, or for the end without one."""
    alerts: list[str] = field(default_factory=list)
    """Further alerts that fired in the meantime."""


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
    """``retraining/<model>.json``: the slot for a model's one retraining at a time. Changed only with If-Match."""

    model: str
    settings: RetrainingSettings = field(default_factory=RetrainingSettings)
    state: State = "idle"
    since: float = 0.0
    """Unix time at which this state began."""
    number: int = 0
    """The number of the last episode."""
    episode: RequestRecord | None = None
    """The current or last episode."""
    history: list[RequestRecord] = field(default_factory=list)
    """Earlier episodes, oldest first."""
    strikes: int = 0
    """Retrainings in a row that did not help."""
    waiting: str = ""
    """The failure that it waits out, in words; empty if there is none."""
    waiting_since: float = 0.0
    """When that wait started."""
    why: str = ""
    """Why the breaker is open, in words."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Reason → requests ever refused for it."""
    refused: RefusedRecord | None = None
    changed_by: str = ""
    """The person who last turned it on or off, or reset it."""
    changed: float = 0.0
    """When that person did so."""
    write: str = ""
    """A new random value at each write, so that no two versions have the same bytes."""


@dataclass(frozen=True)
class ClaimRecord:
    """``episodes/<model>/<number>/claim``: the run in the ledger that fulfils an episode's request. Written once."""

    run_id: str
    dag_run_id: str

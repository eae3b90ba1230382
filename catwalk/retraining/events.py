"""Events that change a slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catwalk.ledger.records.retraining import RetrainingSettings, Verdict


@dataclass(frozen=True)
class Fired:
    """An alert requests a retraining, for as long as it is firing."""

    alert: str
    fingerprint: str
    began: float
    """Unix time."""
    paused: bool = False
    """The DAG is paused."""
    champion_as_of: str = ""
    """The day up to which the champion's data was known; empty: unknown."""
    labels_received: float | None = None
    """Unix time at which the last label of the model's predictions arrived; None: none ever did."""


@dataclass(frozen=True)
class Withdrawn:
    """The request no longer holds, and Airflow has no run of it."""

    reason: Literal["resolved_first", "off", "paused"]


@dataclass(frozen=True)
class Asking:
    """The courier is about to request the run from Airflow."""


@dataclass(frozen=True)
class Taken:
    """Airflow has a run by the episode's id that was never requested: it remembers more than the ledger."""


@dataclass(frozen=True)
class Found:
    """Airflow has the run."""

    dag_run_id: str
    run_id: str
    """Its id in the ledger."""
    adopted: bool = False
    """It is a scheduled run, with data of the day of the onset or of a later one."""


@dataclass(frozen=True)
class Vanished:
    """Airflow no longer has the run, and it has not begun."""


@dataclass(frozen=True)
class Waits:
    """Nothing is decided yet."""

    reason: str = ""
    """What it waits for, in words; empty: everything answers."""


@dataclass(frozen=True)
class Denied:
    """Airflow refuses the run, and will until someone changes something."""

    reason: str


@dataclass(frozen=True)
class Ended:
    """The run has ended."""

    verdict: Verdict
    run_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Serving:
    """The shipped model makes its first predictions."""


@dataclass(frozen=True)
class Served:
    """How the shipped model does in service."""

    predictions: float
    """Predictions since it has been in service."""
    firing: str
    """The alert that is still firing; empty: none is."""


@dataclass(frozen=True)
class Replaced:
    """Another version of the model is the champion."""


@dataclass(frozen=True)
class Passed:
    """Time has passed."""


@dataclass(frozen=True)
class TurnedOn:
    """A person turns retraining on, with these settings."""

    settings: RetrainingSettings
    by: str


@dataclass(frozen=True)
class TurnedOff:
    """A person turns it off."""

    by: str


@dataclass(frozen=True)
class Reset:
    """A person closes the breaker."""

    by: str


Event = (
    Fired
    | Withdrawn
    | Asking
    | Taken
    | Found
    | Vanished
    | Waits
    | Denied
    | Ended
    | Serving
    | Served
    | Replaced
    | Passed
    | TurnedOn
    | TurnedOff
    | Reset
)

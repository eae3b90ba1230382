"""What happens to a slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catwalk.ledger.records.retraining import RetrainingSettings, Verdict


@dataclass(frozen=True)
class Fired:
    """An alert asks for a retraining; it does so for as long as it fires."""

    alert: str
    fingerprint: str
    began: float
    """Unix time."""
    paused: bool = False
    """The DAG is paused."""
    champion_as_of: str = ""
    """The day up to which the champion's data was known; empty: it does not say."""
    labels_received: float | None = None
    """Unix time at which the last label of the model's predictions arrived; None: none ever did."""


@dataclass(frozen=True)
class Withdrawn:
    """What was wanted is wanted no more, and Airflow has no run of it."""

    reason: Literal["resolved_first", "off", "paused"]


@dataclass(frozen=True)
class Asking:
    """Airflow is about to be asked for the run."""


@dataclass(frozen=True)
class Taken:
    """Airflow has a run by the episode's id although nobody has asked for it: it remembers more than the ledger."""


@dataclass(frozen=True)
class Found:
    """Airflow has the run."""

    dag_run_id: str
    run_id: str
    """In the ledger."""
    adopted: bool = False
    """It is a scheduled run, with data of the onset's day or of a later one."""


@dataclass(frozen=True)
class Vanished:
    """Airflow has the run no more, and nobody has begun it."""


@dataclass(frozen=True)
class Waits:
    """Nothing is decided yet."""

    reason: str = ""
    """What does not answer, in words; empty: all do."""


@dataclass(frozen=True)
class Denied:
    """Airflow won't take the run, for as long as nobody changes something."""

    reason: str


@dataclass(frozen=True)
class Ended:
    """The run has ended."""

    verdict: Verdict
    run_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Serving:
    """The model that has shipped makes its first predictions."""


@dataclass(frozen=True)
class Served:
    """How the model that has shipped is doing."""

    predictions: float
    """Since the first ones."""
    firing: str
    """The alert that asks for a retraining still; empty: none does."""


@dataclass(frozen=True)
class Replaced:
    """Another version of the model is the champion."""


@dataclass(frozen=True)
class Passed:
    """Time has passed."""


@dataclass(frozen=True)
class TurnedOn:
    """A person allows retraining, with these settings."""

    settings: RetrainingSettings
    by: str


@dataclass(frozen=True)
class TurnedOff:
    """A person forbids it."""

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

"""A run as it is opened, and the terms for its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from catwalk.ledger.records.values import check_classes, flat

Stage = Literal["ingest", "train", "test", "decide", "publish"]
STAGES: tuple[Stage, ...] = ("ingest", "train", "test", "decide", "publish")
Trigger = Literal["schedule", "manual", "alert", "sweep", "cli"]


@dataclass(frozen=True)
class RunRecord:
    """``runs/<run_id>/run.json``: written once, before anything else happens."""

    run_id: str
    model: str
    trigger: Trigger
    config: dict[str, Any]
    """Section → its settings, as the training code wrote them; only that code interprets them further than a table."""
    seed: int
    """The seed that is used: the configured one, or the one derived from run_id."""
    code_sha256: str
    """Hash of the source code that computes a run: a run that other code started is refused."""
    created: float
    synthetic: bool
    """Whether it trains on synthetic data."""
    dag_id: str = ""
    dag_run_id: str = ""
    sweep: str = ""
    """The sweep that this run is a trial of (see :class:`~catwalk.ledger.records.sweep.SweepRecord`); empty if it is
    none.
    """
    git_commit: str = ""
    git_dirty: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    series_budget: int | None = None
    """Series that the run may create in Prometheus, fixed when it was opened; None means no limit."""
    series_left_out: int = 0
    """Series that are left out of Prometheus for this limit if all epochs are trained; the ledger has them."""
    metric_series: int = 0
    """Series per epoch that are reserved, beside those that each run may have, for metrics whose names are unknown
    until they are logged. The test has four times as many.
    """
    classes: list[str] = field(default_factory=list)
    """Class names in label order; empty if an older version stored it (see
    :func:`~catwalk.ledger.records.values.class_names`).
    """
    trainable: str = ""
    """Its Trainable, as ``package.module:NAME``; empty if version 0.1 stored it (see :mod:`catwalk.trainable`)."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Knob name → its default when the run was opened, to show differences without the model's code."""
    planned_epochs: int = 0
    """Epochs to train; 0 if version 0.1 stored it."""
    schedule: str = ""
    """The schedule in the DAG's file; empty if `CATWALK_SCHEDULE` applies, or no DAG started it."""
    problem: dict[str, Any] = field(default_factory=dict)
    """The problem, as :func:`catwalk.problems.describe` returns it; empty for one of `classes`."""
    owner: str = ""
    """The model's owner."""
    links: dict[str, str] = field(default_factory=dict)
    """Name → URL of related pages."""
    thresholds: dict[str, Any] = field(default_factory=dict)
    """In the form of :class:`catwalk.gate.config.Thresholds`; empty for its defaults, or those in `config`."""
    threshold_reasons: dict[str, str] = field(default_factory=dict)
    """Name of a threshold → the reason for its value."""
    run_key: str = ""
    """The run's key: another process with the same key continues the run; empty if there is none."""
    generation: int = 1
    """The number of runs of this key so far: each one after the first began once its predecessor was decided."""
    previous_generation: str = ""
    """run_id of the predecessor; empty if there is none."""
    ships: bool = True
    """Whether its decision may put the model into service; otherwise it only says what it would do."""
    alert: str = ""
    """The alert that requested it; empty if none did."""
    episode: int = 0
    """Number of that request (see :class:`~catwalk.ledger.records.retraining.RequestRecord`); 0 if there is none."""

    def __post_init__(self) -> None:
        check_classes(self.classes)

    @property
    def parameters(self) -> dict[str, Any]:
        """Knob name → value."""
        return flat(self.config)

    @property
    def epochs(self) -> int:
        """Epochs to train; 0 if the record doesn't say."""
        found = self.planned_epochs or self.parameters.get("epochs")
        return found if isinstance(found, int) and found > 0 else 0


@dataclass(frozen=True)
class Origin:
    """The facts of a run that version 0.1 did not record."""

    trainable: str
    """As in run.json."""
    classes: tuple[str, ...]
    """Class names in label order."""
    defaults: dict[str, Any]
    """As in run.json."""


@dataclass(frozen=True)
class KeyRecord:
    """``run_keys/<model>/<sha256 of the key>.json``: the current run of a key."""

    run_key: str
    run_id: str
    generation: int = 1
    previous: str = ""
    """run_id of the previous generation; empty if there is none."""

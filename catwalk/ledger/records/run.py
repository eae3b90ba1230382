"""A run as it is opened, and the words that say where it stands."""

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
    """Section → its settings, as whatever trains has written them; that alone reads more out of it than a table."""
    seed: int
    """The seed in force: the configured one, or the one derived from run_id."""
    code_sha256: str
    """Hash of the source that computes a run: one that was started by other code is refused."""
    created: float
    synthetic: bool
    """Trained on made-up data, not on real data."""
    dag_id: str = ""
    dag_run_id: str = ""
    sweep: str = ""
    """The sweep that this run is a trial of (see :class:`~catwalk.ledger.records.sweep.SweepRecord`); empty: none."""
    git_commit: str = ""
    git_dirty: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    series_budget: int | None = None
    """Series that the run may make in Prometheus, fixed when it was opened; None: as many as it has."""
    series_left_out: int = 0
    """Series that are therefore left out of Prometheus, if it goes all the way; the ledger has them."""
    metric_series: int = 0
    """Series of an epoch that room is kept for beside those that each run may have, for metrics whose names nobody
    knows before they are logged. The test has four times as many."""
    classes: list[str] = field(default_factory=list)
    """Names of the classes, in label order; empty: stored by an older version (see
    :func:`~catwalk.ledger.records.values.class_names`)."""
    trainable: str = ""
    """What trains it, as ``package.module:NAME``; empty: stored by version 0.1 (see :mod:`catwalk.trainable`)."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Knob name → its default when the run was opened, so that what differs can be shown without the model's code."""
    planned_epochs: int = 0
    """That the run is to train; 0: stored by version 0.1."""
    schedule: str = ""
    """By which its DAG runs, as the DAG's file says; empty: what `CATWALK_SCHEDULE` says, or it comes from no DAG."""
    problem: dict[str, Any] = field(default_factory=dict)
    """What the model is asked, as :func:`catwalk.problems.describe` puts it; empty: one of `classes`."""
    owner: str = ""
    """Who answers for the model."""
    links: dict[str, str] = field(default_factory=dict)
    """Name → URL of what belongs to the run elsewhere."""
    thresholds: dict[str, Any] = field(default_factory=dict)
    """As :class:`catwalk.gate.config.Thresholds` has them; empty: its defaults, or those in `config`."""
    threshold_reasons: dict[str, str] = field(default_factory=dict)
    """Name of a metric, or of another one of the thresholds → why it is that."""
    run_key: str = ""
    """What names the run where it was started: another process that says the same continues it; empty: nothing does."""
    generation: int = 1
    """Runs that this key has had: each but the first began after the one before was decided, and cleared."""
    previous_generation: str = ""
    """run_id of the one before; empty: none."""
    ships: bool = True
    """Whether its decision may put the model into service; else it says only what it would do."""
    alert: str = ""
    """The alert that has asked for it; empty: none has."""
    episode: int = 0
    """Number of that request (see :class:`~catwalk.ledger.records.retraining.RequestRecord`); 0: there is none."""

    def __post_init__(self) -> None:
        check_classes(self.classes)

    @property
    def parameters(self) -> dict[str, Any]:
        """Knob name → value."""
        return flat(self.config)

    @property
    def epochs(self) -> int:
        """That the run is to train; 0: its record does not say."""
        found = self.planned_epochs or self.parameters.get("epochs")
        return found if isinstance(found, int) and found > 0 else 0


@dataclass(frozen=True)
class Origin:
    """What version 0.1 has not recorded of a run."""

    trainable: str
    """As in run.json."""
    classes: tuple[str, ...]
    """Names in label order."""
    defaults: dict[str, Any]
    """As in run.json."""


@dataclass(frozen=True)
class KeyRecord:
    """``run_keys/<model>/<sha256 of the key>.json``: the run that a key means now."""

    run_key: str
    run_id: str
    generation: int = 1
    previous: str = ""
    """run_id of the generation before; empty: none."""

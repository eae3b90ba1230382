"""A run in one small object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from catwalk.ledger.records.decision import CheckRecord
from catwalk.ledger.records.run import STAGES, Trigger
from catwalk.ledger.records.values import check_classes, completed, old_statistics

State = Literal["running", "succeeded", "failed", "cancelled", "untested", "lost"]
"""``untested``: ended without a test. ``lost``: silent until the model's next run closed it."""
_OLD_STAGES = {
    "attempts": "attempts",
    "seconds": "stage_seconds",
    "started": "stage_started",
    "ended": "stage_ended",
}
"""Field of a :class:`StageSummary` → the field in which a summary of version 0.1 has it by stage."""


@dataclass(frozen=True)
class StageSummary:
    """One stage in a summary. Times are those of the stage's last attempt."""

    attempts: int = 0
    """Attempts so far."""
    seconds: float | None = None
    """Duration of the last attempt that ended; None if none has."""
    started: float | None = None
    ended: float | None = None
    """None if it is still running, or was killed."""


@dataclass(frozen=True)
class SummaryRecord:
    """``summaries/<run_id>.json``: a run for tables and the exporter, in one small object."""

    run_id: str
    model: str
    trigger: Trigger
    synthetic: bool
    dag_id: str
    dag_run_id: str
    git_commit: str
    seed: int
    parameters: dict[str, Any]
    """Knob name → value (see :func:`~catwalk.ledger.records.values.flat`)."""
    state: State
    started: float
    updated: float
    finished: float | None = None
    stage: str = ""
    """The stage that is running, or ran last."""
    error: str = ""
    stages: dict[str, StageSummary] = field(default_factory=dict)
    """Stage → its summary, for stages that have started."""
    points_dropped: int = 0
    series_left_out: int = 0
    """As in run.json."""
    dataset_sha256: str = ""
    as_of: str = ""
    """As in dataset.json."""
    classes: list[str] = field(default_factory=list)
    """As in run.json."""
    class_shares: list[float] = field(default_factory=list)
    """Share of each class among the training examples."""
    statistics: dict[str, float] = field(default_factory=dict)
    """As in dataset.json."""
    reproducible: bool = True
    sweep: str = ""
    """The sweep that this run is a trial of; empty if it is none."""
    schedule: str = ""
    """As in run.json."""
    model_sha256: str = ""
    epochs: int = 0
    """Epochs recorded so far."""
    last_epoch: int | None = None
    """Number of the last of them; None if an older version stored this."""
    axis: str = "epoch"
    """What their numbers count: epoch or step."""
    last_validation_loss: float | None = None
    last_validation_accuracy: float | None = None
    best_epoch: int | None = None
    best_validation_loss: float | None = None
    best_train_loss: float | None = None
    """Lowest of all epochs; None if none was a number, or an older version stored this."""
    median_train_loss: float | None = None
    """The same over all epochs."""
    test_accuracy: float | None = None
    test_loss: float | None = None
    test_calibration_error: float | None = None
    test_class_accuracy: list[float] = field(default_factory=list)
    decision: str = ""
    reason: str = ""
    """The reason for the decision, or ``not_chosen`` without one: another trial of the sweep was better."""
    sentence: str = ""
    decided: float | None = None
    checks: list[CheckRecord] = field(default_factory=list)
    problem: str = ""
    """Kind of the problem; empty for multiclass, stored by the stages."""
    headline: str = ""
    """Metric that the gate decides by; empty for accuracy."""
    goal: str = "maximize"
    """The headline's goal: maximize or minimize."""
    unit: str = ""
    """Unit of a regression's prediction; empty for none, or another kind of problem."""
    last_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Split → metric → value, of the last epoch; empty if the stages stored it."""
    test_metrics: dict[str, float] = field(default_factory=dict)
    """Metric → value, of the test; empty if the stages stored it, or it was not tested."""
    ships: bool = True
    """As in run.json."""
    alert: str = ""
    """As in run.json."""
    episode: int = 0
    """As in run.json."""
    owner: str = ""
    """As in run.json."""
    links: dict[str, str] = field(default_factory=dict)
    """As in run.json."""
    lost_after: float | None = None
    """Seconds of silence after which the run counts as lost; None if it sends no heartbeats."""
    sweep_wait: float = 86_400.0
    """Seconds that the run, once trained, may wait for the others of its sweep."""
    write: str = ""
    """A new random value at each write, so that no two versions have the same bytes."""

    def __post_init__(self) -> None:
        check_classes(self.classes, self.class_shares, self.test_class_accuracy)

    @staticmethod
    def upgraded(values: dict[str, Any]) -> dict[str, Any]:
        """JSON values of any version, with the statistics by name and the stages as records."""
        return completed(values, statistics=old_statistics, stages=_old_stages)

    @property
    def is_tested(self) -> bool:
        """Whether it has a test result."""
        return self.test_accuracy is not None or bool(self.test_metrics)

    @property
    def scores(self) -> dict[str, float]:
        """Metric → value, for all that its test measured."""
        named = {
            "accuracy": self.test_accuracy,
            "log_loss": self.test_loss,
            "calibration_error": self.test_calibration_error,
        }
        return {**{name: value for name, value in named.items() if value is not None}, **self.test_metrics}

    @property
    def named_headline(self) -> str:
        """The headline with its name and unit; empty if it is accuracy, or not measured yet."""
        value = None if self.headline in ("", "accuracy") else self.scores.get(self.headline)
        return "" if value is None else f"{self.headline.replace('_', ' ')} {value:.4g} {self.unit}".rstrip()

    @property
    def waits_for_others(self) -> bool:
        """True for a trained trial that waits silently until all others are trained: this silence is expected."""
        train = self.stages.get("train", StageSummary())
        trained = train.ended is not None and bool(self.model_sha256)
        return bool(self.sweep) and self.state == "running" and self.stage == "train" and trained

    @property
    def stopped_in(self) -> str:
        """The stage that is running, or in which the run failed or was cancelled; empty for none, or if the run
        succeeded.

        It is publish, which always comes last, only while that is running.
        """
        if self.state == "succeeded":
            return ""
        if self.stage != "publish" or self.state == "running":
            return self.stage
        return next((stage for stage in reversed(STAGES[:-1]) if stage in self.stages), "")


def _old_stages(values: dict[str, Any]) -> dict[str, Any]:
    """Stage → the values of its :class:`StageSummary`."""
    old = {name: values.get(key, {}) for name, key in _OLD_STAGES.items()}
    stages = dict.fromkeys(stage for of_stages in old.values() for stage in of_stages)
    return {
        stage: {name: of_stages[stage] for name, of_stages in old.items() if stage in of_stages} for stage in stages
    }

"""What the run ledger holds, as frozen dataclasses that travel as JSON.

Times are seconds since the Unix epoch, durations seconds, ratios 0 to 1. A record's ``upgraded``, where it has one, is
what :mod:`catwalk.codec` asks for the fields that an older version has not written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

Stage = Literal["ingest", "train", "test", "decide", "publish"]
STAGES: tuple[Stage, ...] = ("ingest", "train", "test", "decide", "publish")
State = Literal["running", "succeeded", "failed", "cancelled", "untested", "lost"]
"""Untested: ended without a test. Lost: silent until the model's next run closed it."""
Trigger = Literal["schedule", "manual", "sweep", "cli"]
Outcome = Literal["succeeded", "failed", "cancelled", "superseded"]
Verdict = Literal["passed", "failed", "inconclusive", "skipped"]

MAX_EPOCHS = 200
"""Each epoch is a label value in Prometheus. Of a run of so many epochs all curves have room beside its test; one that
does not say how many it trains shows no more than so many."""

_OLD_STATISTICS = ("pixel_mean", "pixel_stddev")
"""Version 0.1 has these beside the other fields of a record."""
_OLD_STAGES = {
    "attempts": "attempts",
    "seconds": "stage_seconds",
    "started": "stage_started",
    "ended": "stage_ended",
}
"""Field of a :class:`StageSummary` → the field of a summary in which version 0.1 has it by stage."""
_YEAR_9999 = 253_370_764_800.0
"""Its beginning, in seconds since the Unix epoch."""


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
    """The sweep that this run is a trial of (see :class:`SweepRecord`); empty: none."""
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
    """Names of the classes, in label order; empty: stored by an older version (see :func:`class_names`)."""
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

    def __post_init__(self) -> None:
        _check_classes(self.classes)

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
class TrialRecord:
    """What a sweep knows of one of its trials when it chooses."""

    run_id: str
    parameters: dict[str, Any]
    """Knob → value, of the knobs that the sweep varies."""
    validation_accuracy: float | None = None
    """Of the last epoch, which is the run's model; None: its training has not finished."""
    validation_loss: float | None = None

    @property
    def finished(self) -> bool:
        """There is a result to rank; NaN is none, for it would leave the order to chance."""
        return is_finite(self.validation_accuracy) and is_finite(self.validation_loss)


@dataclass(frozen=True)
class SweepRecord:
    """``sweeps/<sweep_id>.json``: which trial a sweep has chosen. Written once, when all of them have ended."""

    sweep_id: str
    winner: str
    """run_id of the trial that is tested and decided about."""
    sentence: str
    trials: list[TrialRecord]
    """In the order of the sweep's plan."""
    finished: float


@dataclass(frozen=True)
class SplitStatistics:
    """What one split of a dataset holds."""

    examples: int
    class_counts: list[int]
    """Examples of each class, in label order."""


@dataclass(frozen=True)
class DatasetRecord:
    """``runs/<run_id>/dataset.json`` and ``datasets/<sha256>/manifest.json``."""

    sha256: str
    """Content hash of the three splits together."""
    source: str
    synthetic: bool
    splits: dict[str, SplitStatistics]
    """By split: train, validation, test."""
    files: dict[str, str]
    """sha256 of each split's safetensors file."""
    classes: list[str] = field(default_factory=list)
    """As in run.json."""
    statistics: dict[str, float] = field(default_factory=dict)
    """Name → value, of the training examples: what a model standardises by, and what shifts when the data does."""
    as_of: str = ""
    """ISO 8601: the data is what was known then; later is newer. Empty: it does not say."""
    digests_sha256: str = ""
    """sha256 of ``datasets/<sha256>/train.digests`` (see :mod:`.examples`); empty: stored by an older version."""

    def __post_init__(self) -> None:
        _check_classes(self.classes, *(split.class_counts for split in self.splits.values()))

    @staticmethod
    def upgraded(values: dict[str, Any]) -> dict[str, Any]:
        """JSON values of any version, with the statistics by name."""
        return _completed(values, statistics=_old_statistics)


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of training. In the stages losses are mean cross-entropy in nats, and both splits are measured in
    evaluation mode; a run that logs (:mod:`catwalk.tracking`) has the figures that it logs. None: not measured; a
    figure that was measured and is no number is NaN."""

    epoch: int
    """1 for the first."""
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    class_accuracy: list[float]
    """Validation recall of each class, in label order; empty: not measured."""
    learning_rate: float | None
    """Of the epoch's last step."""
    gradient_norm: float | None
    """Mean over the epoch's steps of the gradient's L2 norm."""
    duration_seconds: float | None
    """Of the training steps, without evaluation and checkpoint; of a run that logs, since the epoch before."""
    examples_per_second: float | None
    finished: float
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Split → metric → value, of all that has no field of its own here."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Split → metric → value, of all that was measured: loss and accuracy first."""
        named = {
            "train": {"loss": self.train_loss, "accuracy": self.train_accuracy},
            "validation": {"loss": self.validation_loss, "accuracy": self.validation_accuracy},
        }
        found = {
            split: {
                **{name: value for name, value in named.get(split, {}).items() if value is not None},
                **self.metrics.get(split, {}),
            }
            for split in [*named, *(split for split in self.metrics if split not in named)]
        }
        return {split: values for split, values in found.items() if values}


@dataclass(frozen=True)
class TrainingRecord:
    """``runs/<run_id>/epochs.json``: every epoch so far, replaced once an epoch."""

    attempt: int
    """Number of the train attempt that wrote this."""
    epochs: list[EpochRecord]
    device: str = ""
    threads: int = 0
    torch: str = ""
    reproducible: bool = True
    """False once training was resumed on another device, thread count or torch build."""
    model_sha256: str = ""
    """Of ``model.safetensors``; empty until training has finished."""
    model_bytes: int = 0
    parameters: int = 0
    """Trainable parameters of the network."""
    sealed: list[str] = field(default_factory=list)
    """Objects of the run that hold the epochs before these (see :class:`EpochSegment`): of many epochs only the last
    few are written again and again."""

    @property
    def finished(self) -> bool:
        """The model is stored and may be tested."""
        return bool(self.model_sha256)

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the lowest finite validation loss."""
        finite = [(record.validation_loss, record) for record in self.epochs if is_finite(record.validation_loss)]
        return min(finite, key=lambda found: found[0], default=(None, None))[1]


@dataclass(frozen=True)
class EpochSegment:
    """``runs/<run_id>/epochs/<attempt>-<n>.json``: epochs that do not change any more."""

    epochs: list[EpochRecord]


@dataclass(frozen=True)
class ModelFile:
    """One file of a model."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class ModelRecord:
    """``runs/<run_id>/model.json``: the model of a run that logs, of any kind and any number of files."""

    sha256: str
    """Of its one file; of more, that of their list in the form of sha256sum, sorted by path."""
    bytes: int
    folder: str
    """Where its files are, below the run."""
    files: dict[str, ModelFile] = field(default_factory=dict)
    """By path; empty: it lies elsewhere."""
    uri: str = ""
    """Where, if not in the ledger."""


@dataclass(frozen=True)
class WatchedRecord:
    """``models/<model>.json``: what is known of a model, by its runs that ship or by hand. Changed by If-Match only."""

    model: str
    problem: dict[str, Any] = field(default_factory=dict)
    """As in run.json, like what follows."""
    schedule: str = ""
    owner: str = ""
    thresholds: dict[str, Any] = field(default_factory=dict)
    threshold_reasons: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    run_id: str = ""
    """The run that said so; empty: a person did."""
    changed: float = 0.0
    by: str = ""
    """The person; empty: a run did."""
    retired: float = 0.0
    """When it was taken out of use; 0: it is in use. A scheduled run that begins later brings it back."""
    renamed_to: str = ""
    """Its name since then."""
    formerly: str = ""
    """Its name before."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """What held before, oldest first: the same fields."""


@dataclass(frozen=True)
class KeyRecord:
    """``run_keys/<model>/<sha256 of the key>.json``: the run that a key means now."""

    run_key: str
    run_id: str
    generation: int = 1
    previous: str = ""
    """run_id of the generation before; empty: none."""


@dataclass(frozen=True)
class SliceRecord:
    """A model on the test examples of one value of a slice."""

    examples: int
    metric: float | None
    """The problem's headline; None: these examples leave it undefined."""


@dataclass(frozen=True)
class EvaluationRecord:
    """``runs/<run_id>/evaluation.json``: the model's score on the test split."""

    model_sha256: str
    dataset_sha256: str
    examples: int
    accuracy: float | None
    """None, as for the other figures of classes: the problem has none."""
    loss: float | None
    """Mean cross-entropy in nats; None: not measured."""
    calibration_error: float | None
    """Expected calibration error over 15 equal-width bins of confidence (Naeini et al., 2015)."""
    class_accuracy: list[float]
    """Recall of each class, in label order; empty, as what follows: the problem has no classes."""
    class_precision: list[float]
    class_f1: list[float]
    confusion: list[list[int]]
    """Examples by true class (row) and predicted class (column)."""
    inference_seconds: float | None
    """To score all examples; None: not measured."""
    finished: float
    classes: list[str] = field(default_factory=list)
    """As in run.json."""
    previews_sha256: str = ""
    """Of ``previews.safetensors``; empty: the run has none."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Metric → value, of all that has no field of its own here."""
    slices: dict[str, dict[str, SliceRecord]] = field(default_factory=dict)
    """Slice → value → the model on it."""
    test_set: str = ""
    """Name of the examples, by which runs without keys are compared; empty: none."""
    outcome_sha256: str = ""
    """Of ``outcome.safetensors``: each example's key, loss and prediction; empty: the run has none."""

    @property
    def scores(self) -> dict[str, float]:
        """Metric → value, of all that was measured."""
        named = {"accuracy": self.accuracy, "log_loss": self.loss, "calibration_error": self.calibration_error}
        return {**{name: value for name, value in named.items() if value is not None}, **self.metrics}

    def __post_init__(self) -> None:
        of_classes: tuple[Sized, ...] = (self.class_accuracy, self.class_precision, self.class_f1, self.confusion)
        _check_classes(self.classes, *of_classes, *self.confusion)


@dataclass(frozen=True)
class CheckRecord:
    """One check of the gate."""

    check: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    low: float | None
    high: float | None
    sentence: str


@dataclass(frozen=True)
class DecisionRecord:
    """``runs/<run_id>/decision.json``."""

    decision: Literal["ship", "hold", "would_ship"]
    """Would ship: of a run that may not put its model into service."""
    reason: str
    sentence: str
    checks: list[CheckRecord]
    champion: str
    """run_id of the champion that was in service when this was decided; empty: none."""
    model_sha256: str
    finished: float
    split_decisions: int = 1
    """Runs that this test split has decided, this one included: the more, the more a lead on it owes to chance."""

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class AttemptRecord:
    """``runs/<run_id>/attempts/<stage>-<n>.json``. A killed attempt has no end: that is how it shows."""

    stage: Stage
    number: int
    """1 for the first attempt of the stage."""
    started: float
    host: str
    pid: int
    ended: float | None = None
    outcome: Outcome | None = None
    error: str = ""
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    points_dropped: int = 0
    """Telemetry points that this attempt could not send."""

    @property
    def duration_seconds(self) -> float | None:
        """None while the attempt runs, or when it was killed."""
        return None if self.ended is None else self.ended - self.started


@dataclass(frozen=True)
class StageSummary:
    """What a summary says of one stage. Times are of the stage's last attempt."""

    attempts: int = 0
    """Started so far."""
    seconds: float | None = None
    """Duration of the last attempt that ended; None: none has."""
    started: float | None = None
    ended: float | None = None
    """None: it still runs, or was killed."""


@dataclass(frozen=True)
class SummaryRecord:
    """``summaries/<run_id>.json``: what tables and the exporter show of a run, in one small object."""

    run_id: str
    model: str
    trigger: Trigger
    synthetic: bool
    dag_id: str
    dag_run_id: str
    git_commit: str
    seed: int
    parameters: dict[str, Any]
    """Knob name → value (see :func:`flat`)."""
    state: State
    started: float
    updated: float
    finished: float | None = None
    stage: str = ""
    """The stage that runs, or ran last."""
    error: str = ""
    stages: dict[str, StageSummary] = field(default_factory=dict)
    """By stage, of those that have started."""
    points_dropped: int = 0
    series_left_out: int = 0
    """As in run.json."""
    dataset_sha256: str = ""
    classes: list[str] = field(default_factory=list)
    """As in run.json."""
    class_shares: list[float] = field(default_factory=list)
    """Share of each class among the training examples."""
    statistics: dict[str, float] = field(default_factory=dict)
    """As in dataset.json."""
    reproducible: bool = True
    sweep: str = ""
    """The sweep that this run is a trial of; empty: none."""
    schedule: str = ""
    """As in run.json."""
    model_sha256: str = ""
    epochs: int = 0
    """Epochs recorded so far."""
    last_validation_loss: float | None = None
    last_validation_accuracy: float | None = None
    best_epoch: int | None = None
    best_validation_loss: float | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    test_calibration_error: float | None = None
    test_class_accuracy: list[float] = field(default_factory=list)
    decision: str = ""
    reason: str = ""
    """Of the decision; or ``not_chosen``, without one: a trial that another one of its sweep was better than."""
    sentence: str = ""
    decided: float | None = None
    checks: list[CheckRecord] = field(default_factory=list)
    problem: str = ""
    """Kind of the problem; empty: multiclass, stored by the stages."""
    headline: str = ""
    """Metric that the gate decides by; empty: accuracy."""
    goal: str = "maximize"
    """Of the headline: maximize or minimize."""
    unit: str = ""
    """Of what a regression predicts; empty: none, or another kind of problem."""
    last_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Split → metric → value, of the last epoch; empty: stored by the stages."""
    test_metrics: dict[str, float] = field(default_factory=dict)
    """Metric → value, of the test; empty: stored by the stages, or not tested."""
    ships: bool = True
    """As in run.json."""
    owner: str = ""
    """As in run.json."""
    links: dict[str, str] = field(default_factory=dict)
    """As in run.json."""
    lost_after: float | None = None
    """Seconds of silence after which the run counts as lost; None: it sends no heartbeats."""
    write: str = ""
    """Random, another one at each write: no two versions have the same bytes."""

    def __post_init__(self) -> None:
        _check_classes(self.classes, self.class_shares, self.test_class_accuracy)

    @staticmethod
    def upgraded(values: dict[str, Any]) -> dict[str, Any]:
        """JSON values of any version, with the statistics by name and the stages as records."""
        return _completed(values, statistics=_old_statistics, stages=_old_stages)

    @property
    def is_tested(self) -> bool:
        """There is a result of its test."""
        return self.test_accuracy is not None or bool(self.test_metrics)

    @property
    def scores(self) -> dict[str, float]:
        """Metric → value, of all that its test has measured."""
        named = {
            "accuracy": self.test_accuracy,
            "log_loss": self.test_loss,
            "calibration_error": self.test_calibration_error,
        }
        return {**{name: value for name, value in named.items() if value is not None}, **self.test_metrics}

    @property
    def named_headline(self) -> str:
        """What the gate decides by, with its name and unit; empty: it is accuracy, or not there yet."""
        value = None if self.headline in ("", "accuracy") else self.scores.get(self.headline)
        return "" if value is None else f"{self.headline.replace('_', ' ')} {value:.4g} {self.unit}".rstrip()

    @property
    def waits_for_others(self) -> bool:
        """A trial that is trained and says nothing until all the others are, too: no silence to worry about."""
        train = self.stages.get("train", StageSummary())
        trained = train.ended is not None and bool(self.model_sha256)
        return bool(self.sweep) and self.state == "running" and self.stage == "train" and trained

    @property
    def stopped_in(self) -> str:
        """The stage that runs, or in which the run failed or was cancelled; empty: none, or the run has succeeded.

        That is never publish, which comes last whatever happened, unless it still runs.
        """
        if self.state == "succeeded":
            return ""
        if self.stage != "publish" or self.state == "running":
            return self.stage
        return next((stage for stage in reversed(STAGES[:-1]) if stage in self.stages), "")


@dataclass(frozen=True)
class PromotionRecord:
    """One change of the champion: who, when, why, from what, to what."""

    run_id: str
    """What went into service."""
    model_sha256: str
    promoted: float
    previous: str
    """run_id of what it replaced; empty: nothing."""
    by: str
    reason: str
    rollback: bool = False


@dataclass(frozen=True)
class ChampionRecord:
    """``champions/<model>.json``: the version in service. Changed by If-Match only."""

    model: str
    run_id: str
    model_sha256: str
    promoted: float
    previous: str
    """run_id of the champion before this one; empty: none."""
    anchor: str
    """run_id of the best model ever promoted."""
    by: str
    reason: str
    previous_anchor: str = ""
    """The anchor before this promotion; empty: none."""
    history: list[PromotionRecord] = field(default_factory=list)
    """Every change up to this one, oldest first."""

    @property
    def announcement(self) -> dict[str, str]:
        """What others are told of it, to fetch and verify the model."""
        return {"model": self.model, "run_id": self.run_id, "model_sha256": self.model_sha256}


def _completed(values: dict[str, Any], **made: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """JSON values, with the fields that they lack made of those that they have."""
    return {**values, **{name: make(values) for name, make in made.items() if name not in values}}


def _old_statistics(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in _OLD_STATISTICS if values.get(name) is not None}


def _old_stages(values: dict[str, Any]) -> dict[str, Any]:
    """Stage → the values of its :class:`StageSummary`."""
    old = {name: values.get(key, {}) for name, key in _OLD_STAGES.items()}
    stages = dict.fromkeys(stage for of_stages in old.values() for stage in of_stages)
    return {
        stage: {name: of_stages[stage] for name, of_stages in old.items() if stage in of_stages} for stage in stages
    }


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """One level of knob name → value, as in a table of parameters; what is in no section stays as it is."""
    sections = [section if isinstance(section, dict) else {name: section} for name, section in config.items()]
    return {name: value for section in sections for name, value in section.items()}


def class_names(recorded: list[str], count: int) -> list[str]:
    """Names of `count` classes in label order: those of a record, or ``0``, ``1`` … where it names none.

    Raises:
        ValueError: the record names another number of classes.
    """
    if not recorded:
        return [str(label) for label in range(count)]
    if len(recorded) != count:
        raise ValueError(f"it names {len(recorded)} classes, but has figures of {count}")
    return recorded


def _check_classes(names: list[str], *figures: Sized) -> None:
    """
    Args:
        names: of the classes; may be empty.
        figures: each has one value a class, or none yet.

    Raises:
        ValueError: they are not of the same classes, or two classes could not be told apart.
    """
    if "" in names or len(set(names)) < len(names):
        raise ValueError("it names a class twice, or one by no name")
    counts = sorted({len(one) for one in (names, *figures)} - {0})
    if len(counts) > 1:
        raise ValueError(f"its names and figures are of {' and of '.join(map(str, counts))} classes")


def is_finite(value: float | None) -> TypeGuard[float]:
    """Whether there is a value, and one that can be ordered and averaged: neither NaN nor infinity."""
    return value is not None and math.isfinite(value)


def is_time(seconds: float) -> bool:
    """Whether it lies in the years that dates have: neither NaN nor infinite, which no table could show or order."""
    return 0 <= seconds < _YEAR_9999

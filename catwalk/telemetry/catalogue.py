"""Every metric of Catwalk, declared once: emitter, mapping, exporter, rules and documentation all use this declaration.

Metrics reach Prometheus by five transports. *StatsD* carries events while a stage runs. Prometheus scrapes the current
state from the *exporter*, which reads the ledger; the fate of notifications from the *courier*; a model's inputs and
predictions from each *service* that has a PredictionMonitor; and the state of the server itself from each `catwalk
serve`. Airflow's own metrics are in :mod:`catwalk.telemetry.airflow_metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Transport = Literal["statsd", "exporter", "courier", "service", "serve"]
Kind = Literal["gauge", "counter", "histogram", "info"]
Unit = Literal["", "seconds", "bytes", "ratio", "examples", "examples_per_second"]

RUN_TTL_SECONDS = 3_600
"""How long statsd_exporter shows a run's gauge after its last update; afterwards Prometheus has its history."""
STORE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets of requests to the store: from a small read to a checkpoint on a busy disk."""
SERVICE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of requests for predictions: from a small table model to a large network on a busy machine."""
STORE_OPERATIONS = ("get", "put", "head", "list", "delete")
LABEL_VALUES: Mapping[str, tuple[str, ...]] = {"operation": STORE_OPERATIONS}
"""Labels with few values that are known in advance, with which the canary announces counters."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")
_LABEL = re.compile(r"[a-z][a-z0-9_]+")
_SUFFIXED_UNITS = ("seconds", "bytes", "ratio")
_NOT_BASE_UNITS = ("ms", "milliseconds", "minutes", "hours", "percent", "kilobytes", "megabytes", "kb", "mb", "time")
_RESERVED_LABELS = ("job", "instance", "le", "quantile")


@dataclass(frozen=True)
class Metric:
    """One metric family."""

    name: str
    """The name in Prometheus."""
    transport: Transport
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: Unit = ""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, in the metric's unit."""
    ttl_seconds: int = 0
    """How long statsd_exporter keeps a series that is no longer updated; 0 for forever."""
    signed: bool = False
    """Whether a gauge sent through StatsD may be negative: see :attr:`wire_negative`."""

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise ValueError(f"metric {self.name!r}: {problem}")

    def _problem(self) -> str:
        """Returns which of Prometheus' naming conventions or of this project's rules the metric breaks; empty
        if none.
        """
        words = self.name.split("_")
        stem = self.name.removesuffix("_total")
        if not _NAME.fullmatch(self.name):
            return "names are lower-case words joined by underscores"
        if (self.kind == "counter") != self.name.endswith("_total"):
            return "counters, and only counters, end in _total"
        if (self.kind == "info") != (words[-1] == "info"):
            return "info metrics, and only info metrics, end in _info"
        if self.unit in _SUFFIXED_UNITS and not stem.endswith(f"_{self.unit}"):
            return f"its unit is {self.unit}: the name must end in it"
        if not self.unit and stem.endswith(tuple(f"_{unit}" for unit in _SUFFIXED_UNITS)):
            return "the name ends in a unit that is not declared"
        if words[-1] in _NOT_BASE_UNITS:
            return f"{words[-1]} is not a base unit"
        if words[-1] in ("count", "sum", "bucket"):
            return "this ending is reserved for the parts of a histogram"
        if not self.help.endswith("."):
            return "the help must be a sentence"
        if any(not _LABEL.fullmatch(label) or label in _RESERVED_LABELS for label in self.labels):
            return "label names are lower-case, have at least two characters, and are not reserved by Prometheus"
        if len(set(self.labels)) < len(self.labels):
            return "a label occurs twice"
        if bool(self.buckets) != (self.kind == "histogram") or list(self.buckets) != sorted(set(self.buckets)):
            return "histograms, and only histograms, have buckets, in increasing order"
        if self.ttl_seconds and (self.kind != "gauge" or self.transport != "statsd"):
            return "only gauges expire: a counter or histogram would restart at 0"
        if self.signed and (self.kind != "gauge" or self.transport != "statsd"):
            return "only gauges sent through StatsD need a name for negative values"
        return ""

    @cached_property
    def wire(self) -> str:
        """The name in a StatsD line: ``ml_epoch_class_accuracy_ratio`` is sent as ``ml.epoch.class_accuracy_ratio``.

        Counters lose their ``_total``, and histograms their ``_seconds``, because timers are sent in milliseconds.
        """
        stem = self.name.removesuffix("_total")
        return ".".join((stem.removesuffix("_seconds") if self.kind == "histogram" else stem).split("_", 2))

    @property
    def wire_negative(self) -> str:
        """The name for the magnitude of a negative value, because to StatsD ``-0.4`` means "subtract 0.4".

        The mapping scales it by −1 into the same family. Empty if the metric is never negative.
        """
        return f"{self.wire}_negative" if self.signed else ""


_RUN = ("run_id", "model")
_EPOCH = (*_RUN, "epoch")
_SPLIT = (*_RUN, "split", "epoch")
_STAGE = (*_RUN, "stage")
_ROLE = ("model", "role", "run_id")
_CHECK = ("model", "run_id", "check")


def _run_gauge(name: str, labels: tuple[str, ...], text: str, unit: Unit = "", *, signed: bool = False) -> Metric:
    return Metric(name, "statsd", "gauge", text, labels, unit, ttl_seconds=RUN_TTL_SECONDS, signed=signed)


def _exporter_gauge(name: str, labels: tuple[str, ...], text: str, unit: Unit = "") -> Metric:
    return Metric(name, "exporter", "gauge", text, labels, unit)


def _info(name: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name, "exporter", "info", text, labels)


# --- By StatsD: one epoch ---------------------------------------------------------------------------------------------
EPOCH_LOSS = _run_gauge(
    "ml_epoch_loss",
    _SPLIT,
    "Loss after the epoch; for classifiers, the mean cross-entropy in nats, in evaluation mode.",
    signed=True,
)
EPOCH_ACCURACY = _run_gauge(
    "ml_epoch_accuracy_ratio",
    _SPLIT,
    "Share of examples that are classified correctly after the epoch, in evaluation mode.",
    "ratio",
    signed=True,  # a script may log any value as its accuracy
)
EPOCH_CLASS_ACCURACY = _run_gauge(
    "ml_epoch_class_accuracy_ratio",
    (*_RUN, "class", "epoch"),
    "Share of a class's validation examples that are classified correctly after the epoch.",
    "ratio",
)
EPOCH_DURATION = _run_gauge(
    "ml_epoch_duration_seconds",
    _EPOCH,
    "Duration of the epoch's training steps, without evaluation and checkpoint.",
    "seconds",
)
EPOCH_LEARNING_RATE = _run_gauge("ml_epoch_learning_rate", _EPOCH, "Learning rate of the epoch's last step.")
EPOCH_GRADIENT_NORM = _run_gauge(
    "ml_epoch_gradient_norm", _EPOCH, "Mean L2 norm of the gradient over the epoch's steps."
)
EPOCH_EXAMPLES_PER_SECOND = _run_gauge(
    "ml_epoch_examples_per_second", _EPOCH, "Training examples per second in the epoch.", "examples_per_second"
)
EPOCH_INDEX = _run_gauge(
    "ml_epoch_index", _EPOCH, "Number of the epoch as a value: its maximum is the last epoch of a run."
)
EPOCH_METRIC = _run_gauge(
    "ml_epoch_metric",
    (*_RUN, "split", "metric", "epoch"),
    "Any other metric after the epoch, named by its label; catwalk_metric_info describes it.",
    signed=True,
)

# --- By StatsD: the test of a finished model --------------------------------------------------------------------------
TEST_ACCURACY = _run_gauge(
    "ml_test_accuracy_ratio", _RUN, "Share of the test examples that are classified correctly.", "ratio"
)
TEST_LOSS = _run_gauge("ml_test_loss", _RUN, "Mean cross-entropy in nats on the test split.", signed=True)
TEST_CALIBRATION_ERROR = _run_gauge(
    "ml_test_calibration_error_ratio", _RUN, "Expected calibration error over 15 bins on the test split.", "ratio"
)
TEST_CLASS_ACCURACY = _run_gauge(
    "ml_test_class_accuracy_ratio",
    (*_RUN, "class"),
    "Share of a class's test examples that are classified correctly (recall).",
    "ratio",
)
TEST_CLASS_PRECISION = _run_gauge(
    "ml_test_class_precision_ratio",
    (*_RUN, "class"),
    "Share of the test examples predicted as this class that belong to it (precision).",
    "ratio",
)
TEST_CLASS_F1 = _run_gauge(
    "ml_test_class_f1_ratio",
    (*_RUN, "class"),
    "Harmonic mean of a class's precision and recall on the test split.",
    "ratio",
)
TEST_CONFUSION = _run_gauge(
    "ml_test_confusion_examples",
    (*_RUN, "true_class", "predicted_class"),
    "Test examples by true and predicted class.",
    "examples",
)
TEST_METRIC = _run_gauge(
    "ml_test_metric",
    (*_RUN, "metric", "slice", "slice_value"),
    "Any other metric on the test split, named by its label, for all examples or for those with this value of a slice.",
    signed=True,
)

# --- By StatsD: stages, storage and the path itself -------------------------------------------------------------------
STAGE_DURATION = _run_gauge(
    "ml_stage_duration_seconds", _STAGE, "Wall time of the stage's last ended attempt.", "seconds"
)
STAGE_PEAK_MEMORY = _run_gauge(
    "ml_stage_peak_memory_bytes", _STAGE, "Largest resident memory of the stage's last ended attempt.", "bytes"
)
STAGE_CPU = _run_gauge("ml_stage_cpu_seconds", _STAGE, "CPU time of the stage's last ended attempt.", "seconds")
STAGE_GPU_PEAK_MEMORY = _run_gauge(
    "ml_stage_gpu_peak_memory_bytes",
    _STAGE,
    "Most GPU memory that torch held in the stage's last ended attempt; no series if it used no GPU.",
    "bytes",
)
STAGE_GPU_UTILISATION = _run_gauge(
    "ml_stage_gpu_utilisation_ratio",
    _STAGE,
    "Share of the time in which the GPUs of the stage's last ended attempt were busy.",
    "ratio",
)
STORE_OPERATION_DURATION = Metric(
    "ml_store_operation_duration_seconds",
    "statsd",
    "histogram",
    "Duration of the runs' requests to the store, from request to answer.",
    ("operation",),
    "seconds",
    STORE_SECONDS,
)
STORE_ERRORS = Metric(
    "ml_store_errors_total",
    "statsd",
    "counter",
    "Failed requests of runs to the store, including each retry.",
    ("operation",),
)
CANARY_RECEIVED = Metric(
    "catwalk_canary_received_total",
    "statsd",
    "counter",
    "Canary lines that arrived through StatsD; one is sent each second.",
)

# --- By the exporter: the models that matter --------------------------------------------------------------------------
MODEL_VERSION = _info(
    "catwalk_model_version_info",
    _ROLE,
    "The run with each role: latest (last scheduled or manual run) or champion (in service); the value is 1.",
)
MODEL_INFO = _info(
    "catwalk_model_info",
    ("model", "kind", "owner", "schedule", "dag_id", "retired"),
    "A model that has runs or was added: its kind of problem, owner, schedule and DAG, and whether it is retired; the "
    "value is 1.",
)
THRESHOLD = _exporter_gauge(
    "catwalk_threshold",
    ("model", "name"),
    "A model's own limit: a metric's floor or cap, a limit of its gate, or a limit of an alert.",
)
MODEL_METRIC = _exporter_gauge(
    "catwalk_model_metric", (*_ROLE, "metric"), "Every metric of the test, by name and role; may be negative."
)
METRIC_INFO = _info(
    "catwalk_metric_info",
    ("model", "metric", "goal", "unit", "headline"),
    "Description of a metric: its goal (maximize or minimize), its unit, and whether it is the headline that the "
    "gate compares; the value is 1.",
)
MODEL_ACCURACY = _exporter_gauge(
    "catwalk_model_accuracy_ratio",
    _ROLE,
    "Test accuracy by role: latest (last scheduled or manual run) or champion (in service).",
    "ratio",
)
MODEL_LOSS = _exporter_gauge("catwalk_model_loss", _ROLE, "Test loss in nats, by role (latest or champion).")
MODEL_CALIBRATION_ERROR = _exporter_gauge(
    "catwalk_model_calibration_error_ratio", _ROLE, "Expected calibration error on the test split, by role.", "ratio"
)
MODEL_CLASS_ACCURACY = _exporter_gauge(
    "catwalk_model_class_accuracy_ratio", (*_ROLE, "class"), "Test accuracy of each class (recall), by role.", "ratio"
)
MODEL_DATASET_CLASS_SHARE = _exporter_gauge(
    "catwalk_model_dataset_class_share_ratio",
    (*_ROLE, "class"),
    "Share of each class among the examples that the model was trained on, by role.",
    "ratio",
)
MODEL_DATASET_STATISTIC = _exporter_gauge(
    "catwalk_model_dataset_statistic",
    (*_ROLE, "statistic"),
    "A statistic of the examples that the model was trained on, such as pixel_mean, by role.",
)
# From version 0.1: rules and dashboards query these two until the next version.
MODEL_DATASET_PIXEL_MEAN = _exporter_gauge(
    "catwalk_model_dataset_pixel_mean", _ROLE, "Mean of the training pixels, 0 to 1, by role."
)
MODEL_DATASET_PIXEL_STDDEV = _exporter_gauge(
    "catwalk_model_dataset_pixel_stddev", _ROLE, "Standard deviation of the training pixels, 0 to 1, by role."
)

MODEL_DATASET = _info(
    "catwalk_model_dataset_info",
    (*_ROLE, "dataset_sha256"),
    "The dataset that the model was trained and tested on, by role; the value is 1.",
)

# --- By the exporter: models in service, by their labels --------------------------------------------------------------
REALISED_METRIC = _exporter_gauge(
    "catwalk_realised_metric",
    ("model", "version", "metric", "window", "bound"),
    "Headline metric of a version's predictions of the last 7 and 28 days, from their labels: the value, and the "
    "bounds of "
    "its 95 % interval (low, high).",
)
REALISED_PREDICTIONS = _exporter_gauge(
    "catwalk_realised_predictions",
    ("model", "version", "window"),
    "Labelled predictions behind catwalk_realised_metric.",
)
REALISED_DAY = _exporter_gauge(
    "catwalk_realised_day_metric",
    ("model", "version", "metric", "day", "bound"),
    "Headline metric of a version's predictions of each of the last 28 days, in UTC, with its interval.",
)
LOGGED_PREDICTIONS = _exporter_gauge(
    "catwalk_logged_predictions",
    ("model", "version", "outcome"),
    "Predictions of the last 28 days by their state in the log: served (the sum of logged, sampled_out, dropped and "
    "lost), "
    "and labelled.",
)
LABELS = _exporter_gauge(
    "catwalk_labels_stored",
    ("model", "outcome"),
    "Labels in the ledger by outcome: joined, unknown (no such prediction), conflicting, repeated, revised or "
    "unreadable; "
    "and served_twice, predictions with the id of an earlier one.",
)
LABELS_LAST = _exporter_gauge(
    "catwalk_labels_last_timestamp_seconds", ("model",), "When the last joined label arrived, Unix time.", "seconds"
)

# --- By the exporter: runs --------------------------------------------------------------------------------------------
RUN_INFO = _info(
    "catwalk_run_info",
    (*_RUN, "dag_id", "dag_run_id", "trigger", "git_commit", "dataset_sha256"),
    "Description of a run: its origin, its code and its data; the value is 1.",
)
RUN_PARAMETER = _exporter_gauge(
    "catwalk_run_parameter",
    (*_RUN, "name"),
    "A run's numeric hyperparameters: the label has the name, the value is the parameter.",
)
RUN_SETTING = _exporter_gauge(
    "catwalk_run_setting",
    (*_RUN, "name", "value"),
    "A run's other parameters, as text: layers, device, data source; the value is 1.",
)
RUN_STATE = _exporter_gauge(
    "catwalk_run_state",
    (*_RUN, "state"),
    "1 for the state of the run: running, succeeded, failed, cancelled, untested, stalled (running, but silent for too "
    "long) or lost (the same, for a run that sends heartbeats).",
)
RUN_STARTED = _exporter_gauge(
    "catwalk_run_started_timestamp_seconds", _RUN, "When the run started, Unix time.", "seconds"
)
RUN_UPDATED = _exporter_gauge(
    "catwalk_run_updated_timestamp_seconds", _RUN, "When the run last wrote to its ledger, Unix time.", "seconds"
)
RUN_FINISHED = _exporter_gauge(
    "catwalk_run_finished_timestamp_seconds", _RUN, "When the run finished, successfully or not, Unix time.", "seconds"
)
RUN_DURATION = _exporter_gauge(
    "catwalk_run_duration_seconds",
    _RUN,
    "Time from the run's start to its end, or to its last sign of life.",
    "seconds",
)
RUN_ATTEMPTS = _exporter_gauge("catwalk_run_attempts", _STAGE, "Started attempts of each stage.")
STAGE_STARTED = _exporter_gauge(
    "catwalk_stage_started_timestamp_seconds", _STAGE, "When the stage's last attempt started, Unix time.", "seconds"
)
STAGE_ENDED = _exporter_gauge(
    "catwalk_stage_ended_timestamp_seconds",
    _STAGE,
    "When the stage's last attempt ended, Unix time; the run's end if the attempt was killed.",
    "seconds",
)
STAGE_SECONDS = _exporter_gauge(
    "catwalk_stage_duration_seconds",
    _STAGE,
    "Wall time of the stage's last ended attempt, from the ledger, also while the run continues.",
    "seconds",
)
RUN_BEST_VALIDATION_LOSS = _exporter_gauge(
    "catwalk_run_best_validation_loss", _RUN, "Lowest validation loss of the run's epochs so far."
)
RUN_BEST_TRAIN_LOSS = _exporter_gauge(
    "catwalk_run_best_train_loss", _RUN, "Lowest training loss of the run's epochs so far."
)
RUN_MEDIAN_TRAIN_LOSS = _exporter_gauge(
    "catwalk_run_median_train_loss", _RUN, "Median training loss of the run's epochs so far."
)
RUN_BEST_EPOCH = _exporter_gauge(
    "catwalk_run_best_epoch", _RUN, "Epoch or step with the lowest validation loss so far."
)
RUN_LAST_VALIDATION_LOSS = _exporter_gauge(
    "catwalk_run_last_validation_loss", _RUN, "Validation loss after the run's last epoch so far."
)
RUN_POINTS_EXPECTED = _exporter_gauge(
    "catwalk_run_points_expected",
    _RUN,
    "Series in the run's ledger that Prometheus should have, for runs that finished 2 minutes to 12 hours ago.",
)
RUN_POINTS_DROPPED = _exporter_gauge(
    "catwalk_run_points_dropped",
    _RUN,
    "Points that the run counted as not sent, for runs that finished 2 minutes to 12 hours ago.",
)
RUN_SERIES_LEFT_OUT = _exporter_gauge(
    "catwalk_run_series_left_out",
    _RUN,
    "Series of the run that are left out of Prometheus, so that all runs fit its limit; the ledger has them.",
)

# --- By the exporter: decisions and the champion ----------------------------------------------------------------------
GATE_VALUE = _exporter_gauge(
    "catwalk_gate_value", _CHECK, "Value that a check of the decision measured; may be negative."
)
GATE_THRESHOLD = _exporter_gauge(
    "catwalk_gate_threshold", _CHECK, "Limit that a check of the decision compared its value with; may be negative."
)
GATE_LOW = _exporter_gauge(
    "catwalk_gate_low", _CHECK, "Lower bound of the check's confidence interval; may be negative."
)
GATE_HIGH = _exporter_gauge(
    "catwalk_gate_high", _CHECK, "Upper bound of the check's confidence interval; may be negative."
)
GATE_CHECK = _exporter_gauge(
    "catwalk_gate_check", (*_CHECK, "verdict"), "1 for the check's verdict: passed, failed, inconclusive or skipped."
)
DECISION_INFO = _info(
    "catwalk_decision_info", (*_RUN, "decision", "reason"), "The decision about a run, and its reason; the value is 1."
)
DECISIONS = Metric(
    "catwalk_decisions_total",
    "exporter",
    "counter",
    "All decisions so far, by outcome.",
    ("model", "decision", "reason"),
)
RUNS_SINCE_SHIP = _exporter_gauge(
    "catwalk_runs_since_ship", ("model",), "Consecutive decided runs, up to the newest, that did not ship."
)
RUNS_BLOCKED = _exporter_gauge(
    "catwalk_runs_blocked",
    ("model",),
    "Consecutive scheduled and manual runs, up to the newest decided one, that were held for a reason other than "
    "no_better.",
)
CHAMPION_INFO = _info(
    "catwalk_champion_info", ("model", "run_id", "model_sha256"), "The version in service; the value is 1."
)
CHAMPION_PROMOTED = _exporter_gauge(
    "catwalk_champion_promoted_timestamp_seconds",
    _RUN,
    "When the version in service was promoted, Unix time.",
    "seconds",
)

# --- By the exporter: freshness, and the stack itself -----------------------------------------------------------------
LAST_RUN = _exporter_gauge(
    "catwalk_last_run_started_timestamp_seconds",
    ("model", "run_id", "state"),
    "When a model's last scheduled or manual run started, or its last run of any kind if it has none, Unix time, with "
    "its state as in catwalk_run_state; one series for every model that ever ran.",
    "seconds",
)
LAST_DECISION = _exporter_gauge(
    "catwalk_last_decision_timestamp_seconds",
    ("model", "run_id", "decision", "reason"),
    "When a model's last decision was made, for the same choice of runs, Unix time, with the decision and its "
    "reason; one "
    "series for every model that ever had a decision.",
    "seconds",
)
LAST_SUCCESS = _exporter_gauge(
    "catwalk_last_success_timestamp_seconds",
    ("model", "trigger"),
    "When a run with this trigger last succeeded, Unix time.",
    "seconds",
)
NEXT_RUN_DUE = _exporter_gauge(
    "catwalk_next_run_due_timestamp_seconds",
    ("model", "schedule", "dag_id"),
    "When the schedule is next due, Unix time: after the model's last scheduled start, after it was added, or, if it "
    "has "
    "only manual runs, after the last of them; the model is empty for a DAG without runs.",
    "seconds",
)
GOOD_RUN_DUE = _exporter_gauge(
    "catwalk_good_run_due_timestamp_seconds",
    ("model", "schedule"),
    "When the schedule is due for the second time after the start of the last successful scheduled run, Unix time.",
    "seconds",
)
STORE_UP = _exporter_gauge(
    "catwalk_store_up", (), "1 if the exporter's last read of the ledger succeeded, otherwise 0."
)
EXPORTER_STORE_DURATION = Metric(
    "catwalk_store_operation_duration_seconds",
    "exporter",
    "histogram",
    "Duration of the exporter's own requests to the store, which also time it between runs.",
    ("operation",),
    "seconds",
    STORE_SECONDS,
)
CANARY_SENT = Metric(
    "catwalk_canary_sent_total", "exporter", "counter", "Canary lines sent through StatsD: those not received are lost."
)
LINKS = _info("catwalk_links_info", ("name", "url"), "Web addresses of the stack's parts; the value is 1.")
AIRFLOW_COMPONENT_HEALTHY = _exporter_gauge(
    "catwalk_airflow_component_healthy",
    ("component",),
    "1 if this component of Airflow is healthy, otherwise 0; only api_server has a series while it does not answer.",
)
DAG_PAUSED = _exporter_gauge(
    "catwalk_dag_paused", ("dag_id",), "1 if the DAG is paused in Airflow, so that nothing is scheduled, otherwise 0."
)
DAG_RUN_FAILED = _exporter_gauge(
    "catwalk_dag_run_failed_timestamp_seconds",
    ("dag_id", "dag_run_id"),
    "When a DAG's last run failed in Airflow, Unix time; shown for a day if the ledger has no failed run of it.",
    "seconds",
)
DISK_FREE = _exporter_gauge(
    "catwalk_disk_free_bytes", ("volume",), "Free space for the stack on the file systems in CATWALK_DISKS.", "bytes"
)
DISK_SIZE = _exporter_gauge(
    "catwalk_disk_size_bytes", ("volume",), "Size of the file systems in CATWALK_DISKS.", "bytes"
)

# --- By the courier: notifications ------------------------------------------------------------------------------------
COURIER_NOTIFICATIONS = Metric(
    "catwalk_courier_notifications_total",
    "courier",
    "counter",
    "Alerts in notifications from Alertmanager since the courier started, including repeats.",
    ("status",),
)
COURIER_STORED = Metric(
    "catwalk_courier_stored_total",
    "courier",
    "counter",
    "Alerts in these notifications that were new, and are now stored.",
    ("status",),
)
COURIER_DUPLICATES = Metric(
    "catwalk_courier_duplicates_total",
    "courier",
    "counter",
    "Alerts in these notifications that were already stored.",
    ("status",),
)
COURIER_REFUSED = Metric(
    "catwalk_courier_refused_total",
    "courier",
    "counter",
    "Requests that the courier refused: without its password, or malformed.",
)
COURIER_DELIVERIES = Metric(
    "catwalk_courier_deliveries_total",
    "courier",
    "counter",
    "Deliveries by the courier itself, including failed attempts: Grafana annotations, callouts, heartbeats.",
    ("channel", "outcome"),
)
COURIER_PENDING = Metric("catwalk_courier_pending_deliveries", "courier", "gauge", "Pending deliveries.", ("channel",))
COURIER_WATCHDOG_SILENCE = Metric(
    "catwalk_courier_watchdog_silence_seconds",
    "courier",
    "gauge",
    "How long the courier has listened without hearing the Watchdog.",
    unit="seconds",
)
COURIER_DEADMAN = Metric(
    "catwalk_courier_deadman_state",
    "courier",
    "gauge",
    "1 for the state of the dead-man watch: waiting (nothing heard yet), well, silent, or planned (an announced stop).",
    ("state",),
)
RETRAINING_STATE = Metric(
    "catwalk_retraining_state",
    "courier",
    "gauge",
    "1 for the state of a model's retraining on request: idle, wanted, running, watched, cooling, or breaker.",
    ("model", "state"),
)
RETRAINING_WAITING = Metric(
    "catwalk_retraining_waiting",
    "courier",
    "gauge",
    "1 while a model's retraining on request waits: for a part of the stack, or for predictions of the shipped "
    "version.",
    ("model",),
)
RETRAINING_REFUSALS = Metric(
    "catwalk_retraining_refusals_total",
    "courier",
    "counter",
    "Refused requests of alerts for a retraining, by reason: off, cooldown, budget, breaker, paused, no_newer_data, "
    "no_labels_since_onset, or resolved_first.",
    ("model", "reason"),
)
RETRAINING_BUDGET = Metric(
    "catwalk_retraining_budget_left", "courier", "gauge", "Runs that alerts may still request this week.", ("model",)
)
RETRAINING_STRIKES = Metric(
    "catwalk_retraining_strikes",
    "courier",
    "gauge",
    "Consecutive retrainings on request that did not help.",
    ("model",),
)

# --- By a service: a model in use -------------------------------------------------------------------------------------
_SERVED = ("model", "version")
_FEATURE = (*_SERVED, "side", "feature")


def _of_service(name: str, kind: Kind, labels: tuple[str, ...], text: str, unit: Unit = "") -> Metric:
    return Metric(name, "service", kind, text, labels, unit)


SERVICE_INFO = _of_service(
    "catwalk_service_info",
    "info",
    (*_SERVED, "origin"),
    "The version that answers, by the id of its run, and the origin of its reference: test or service; the value is 1.",
)
SERVICE_PREDICTIONS = _of_service("catwalk_service_predictions_total", "counter", _SERVED, "Predictions made.")
SERVICE_ERRORS = _of_service(
    "catwalk_service_errors_total", "counter", _SERVED, "Requests for predictions that ended in an error."
)
SERVICE_DURATION = Metric(
    "catwalk_service_duration_seconds",
    "service",
    "histogram",
    "Duration of requests for one or more predictions, including errors.",
    _SERVED,
    "seconds",
    SERVICE_SECONDS,
)
SERVICE_BIN = _of_service(
    "catwalk_service_bin_total",
    "counter",
    (*_FEATURE, "bin"),
    "Inputs and predictions, by feature and by the bins of the version's reference, including missing and other.",
)
SERVICE_ESTIMATED = _of_service(
    "catwalk_service_estimated_total",
    "counter",
    _SERVED,
    "Predictions of a classifier whose scores give a probability of being correct.",
)
SERVICE_ESTIMATED_RIGHT = _of_service(
    "catwalk_service_estimated_right_total",
    "counter",
    _SERVED,
    "Expected number of correct predictions: the sum of their probabilities.",
)
SERVICE_ESTIMATED_VARIANCE = _of_service(
    "catwalk_service_estimated_variance_total",
    "counter",
    _SERVED,
    "Variance of the number of correct predictions: the sum of p (1 - p) over their probabilities p.",
)
SERVICE_LOG = _of_service(
    "catwalk_service_log_total",
    "counter",
    (*_SERVED, "outcome"),
    "Predictions for the log: logged, sampled_out, or dropped because they could not be written in time. All are 0 "
    "for a "
    "service without a log.",
)
SERVICE_MEMORY = _of_service(
    "catwalk_service_memory_bytes", "gauge", _SERVED, "Resident memory of the serving process.", "bytes"
)
SERVICE_MEMORY_LIMIT = _of_service(
    "catwalk_service_memory_limit_bytes",
    "gauge",
    _SERVED,
    "Memory limit of the process: its control group's limit, or the machine's memory if there is none.",
    "bytes",
)
REFERENCE_BIN = _of_service(
    "catwalk_reference_bin_examples",
    "gauge",
    (*_FEATURE, "bin"),
    "Examples of the version's reference, by feature and bin.",
    "examples",
)
REFERENCE_DISPERSION = _of_service(
    "catwalk_reference_dispersion",
    "gauge",
    _FEATURE,
    "How much more two samples of the feature differ than samples of independent examples would.",
)
REFERENCE_FLOOR = _of_service(
    "catwalk_reference_floor", "gauge", _FEATURE, "Smallest shift of the feature that matters, approximately as a PSI."
)
REFERENCE_LEVEL = _of_service(
    "catwalk_reference_level",
    "gauge",
    _SERVED,
    "Normal quantile for the hourly test of each feature, at which all features together raise 0.25 false alarms a "
    "year.",
)
REFERENCE_ACCURACY = _of_service(
    "catwalk_reference_accuracy_ratio",
    "gauge",
    _SERVED,
    "Share of correct answers for the labelled examples from which the version's accuracy is estimated.",
    "ratio",
)
REFERENCE_CONFIDENCE = _of_service(
    "catwalk_reference_confidence_ratio",
    "gauge",
    _SERVED,
    "Mean probability of a correct answer for the same labelled examples, from the scaled scores.",
    "ratio",
)
REFERENCE_CALIBRATION_ERROR = _of_service(
    "catwalk_reference_calibration_error_ratio",
    "gauge",
    _SERVED,
    "Expected calibration error of the probability of a correct answer.",
    "ratio",
)
REFERENCE_LABELLED = _of_service(
    "catwalk_reference_labelled_examples",
    "gauge",
    _SERVED,
    "Labelled examples from which the version's accuracy is estimated.",
    "examples",
)
REFERENCE_LEFT_OUT = _of_service(
    "catwalk_reference_left_out",
    "gauge",
    _SERVED,
    "Input columns that are not watched: those beyond 50, or of a kind that has no bins.",
)


# --- By `catwalk serve`, besides what its PredictionMonitor counts
# -----------------------------------------------------
SERVER_ANSWERS = Metric(
    "catwalk_server_answers_total",
    "serve",
    "counter",
    "Answers to requests for predictions, by HTTP status, including refusals, which make no prediction.",
    ("model", "code"),
)
SERVER_CHAMPION_CHECKED = Metric(
    "catwalk_server_champion_checked_timestamp_seconds",
    "serve",
    "gauge",
    "When the server last read from the ledger which version is the champion, Unix time; 0 if never.",
    ("model",),
    "seconds",
)
SERVER_MODEL_REFUSED = Metric(
    "catwalk_server_model_refused",
    "serve",
    "gauge",
    "The version that should answer but could not be loaded, so that the previous one continues; the value is 1.",
    ("model", "version"),
)

METRICS: tuple[Metric, ...] = tuple(value for value in vars().values() if isinstance(value, Metric))
"""All of them, in the order above."""
_BY_NAME = {metric.name: metric for metric in METRICS}


def metric(name: str) -> Metric:
    """Returns the metric with this name.

    Raises:
        KeyError: there is none.
    """
    return _BY_NAME[name]


def by_transport(transport: Transport) -> tuple[Metric, ...]:
    """Returns every metric of this transport."""
    return tuple(metric for metric in METRICS if metric.transport == transport)

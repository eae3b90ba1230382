"""Run detail: one run beside the champion."""

from __future__ import annotations

from grafana import board, words
from grafana.panels import PLAIN, About, curve, grid, joined, link, listing, mapped, panel_link, query, run_links, tile
from grafana.panels import words as mapping
from grafana.queries import (
    REMEMBERED,
    by_epoch,
    far_above,
    gap_bounds,
    in_service,
    of_other_headline,
    of_share,
    outcome,
    parameters,
    points,
    text,
)
from grafana.transformations import Column, Style

# A run has few series, so the window is Prometheus' whole retention: a link to an old run works at any range.
_WINDOW = "[400d]"
_RUN = 'run_id="$run"'
_BOTH = 'run_id=~"$run|$champion"'


def _last(family: str, *keep: str, of: str = _RUN) -> str:
    by = f" by ({', '.join(keep)})" if keep else ""
    return f"max{by} (last_over_time({family}{{{of}}}{_WINDOW}))"


def _beside(family: str, *keep: str) -> str:
    """A metric of this run and of the champion."""
    return _named_by_both(f"last_over_time({family}{{{_BOTH}}}{_WINDOW})", *keep)


def _named_by_both(last: str, *keep: str) -> str:
    """This run and the champion, each series named after which of the two it is, and after `keep`."""
    which = f'label_replace(label_replace({last}, "which", "champion", "", ""), "which", "this run", "run_id", "$run")'
    labels = ", ".join(f'"{label}"' for label in ("which", *keep))
    return f'max by (series, epoch) (label_join({which}, "series", " ", {labels}))'


def _short(label: str, expr: str) -> str:
    """The same with the first 12 digits of a hash."""
    return f'label_replace({expr}, "{label}", "$1", "{label}", "(.{{12}}).*")'


_PERCENT, _SECONDS, _BYTES = "accuracy_floor|recall_floor|calibration", "inference_seconds|serves", "model_bytes"
_GAPS = "better|not_inferior_(champion|anchor)|test_set_size"


def _told(family: str, label: str) -> str:
    """Numbers of the gate's checks with their units: some are shares or gaps, others times, sizes or p-values."""

    def of(matcher: str) -> str:
        return _last(family, "check", of=f"{_RUN}, check{matcher}")

    gaps, size = of(f'=~"{_GAPS}"'), of(f'="{_BYTES}"')
    texts = (
        text(points(of(f'=~"{_PERCENT}"')), label, "check", 0.01, "%"),
        text(points(of_share(gaps)), label, "check", 0.01, "pp"),
        text(of_other_headline(gaps), label, "check"),
        text(of(f'=~"{_SECONDS}"'), label, "check", unit="s"),
        text(f"{size} / 1e6", label, "check", 0.01, "MB"),
        text(of(f'!~"{_PERCENT}|{_GAPS}|{_SECONDS}|{_BYTES}"'), label, "check"),
    )
    return " or ".join(texts)


STATE = f"max by (state) (last_over_time(catwalk_run_state{{{_RUN}}}{_WINDOW}) == 1)"
ACCURACY = _last("ml_test_accuracy_ratio")
GAP = _last("catwalk_gate_value", of=f'{_RUN}, check="not_inferior_champion"')
DECISION = outcome(_last("catwalk_decision_info", "decision", "reason"))
DURATION = _last("catwalk_run_duration_seconds")
BEST_EPOCH = _last("catwalk_run_best_epoch")
LOSS_CURVES = _beside("ml_epoch_loss", "split")
OWN_LOSS, CHAMPION_LOSS = (f'last_over_time(ml_epoch_loss{{run_id="{of}"}}{_WINDOW})' for of in ("$run", "$champion"))
ACCURACY_CURVES = _beside("ml_epoch_accuracy_ratio", "split")
METRIC_CURVES = _named_by_both(by_epoch(_BOTH, _WINDOW), "split")
METRIC_TEST = _last("run:metric:last", "metric", of=f'{_RUN}, split="test"')
METRIC_VALIDATION = _last("run:metric:last", "metric", of=f'{_RUN}, split="validation"')
METRIC_TRAIN = _last("run:metric:last", "metric", of=f'{_RUN}, split="train"')
METRIC_CHAMPION = f"max by (metric) ({in_service('catwalk_model_metric')})"
METRIC_INFO = f'max by (metric, goal, unit) (last_over_time(catwalk_metric_info{{model="$model"}}[{REMEMBERED}]))'
RATE = _beside("ml_epoch_learning_rate")
GRADIENT = _beside("ml_epoch_gradient_norm")
CLASS_CURVES = _last("ml_epoch_class_accuracy_ratio", "class", "epoch")
CONFUSION = f"sum by (true_class, predicted_class) (last_over_time(ml_test_confusion_examples{{{_RUN}}}{_WINDOW}))"
VERDICT = _last("catwalk_gate_check", "check", "verdict")
CHECK_VALUE = _told("catwalk_gate_value", "measured")
CHECK_THRESHOLD = _told("catwalk_gate_threshold", "threshold")
CHECK_BOUNDS = gap_bounds(_last("catwalk_gate_low", "check"), _last("catwalk_gate_high", "check"), "check")
STAGE_STARTED = f"1000 * {_last('catwalk_stage_started_timestamp_seconds', 'stage')}"
STAGE_SECONDS = _last("ml_stage_duration_seconds", "stage")
STAGE_MEMORY = _last("ml_stage_peak_memory_bytes", "stage")
STAGE_CPU = _last("ml_stage_cpu_seconds", "stage")
STAGE_GPU_MEMORY = _last("ml_stage_gpu_peak_memory_bytes", "stage")
STAGE_GPU_USE = _last("ml_stage_gpu_utilisation_ratio", "stage")
STAGE_ATTEMPTS = _last("catwalk_run_attempts", "stage")
ORIGIN = _short("git_commit", _last("catwalk_run_info", "run_id", "dag_id", "dag_run_id", "trigger", "git_commit"))
# Known only after ingest: a run has two series.
DATASET = _short(
    "dataset_sha256", _last("catwalk_run_info", "run_id", "dataset_sha256", of=f'{_RUN}, dataset_sha256!=""')
)
PARAMETERS = f"group by (name, value) ({parameters(_RUN, _WINDOW)})"
CLASS_TEST = _last("ml_test_class_accuracy_ratio", "class")
CLASS_PRECISION = _last("ml_test_class_precision_ratio", "class")
CLASS_F1 = _last("ml_test_class_f1_ratio", "class")
CLASS_CHAMPION = f"max by (class) ({in_service('catwalk_model_class_accuracy_ratio')})"

_RIGHT: Style = {"unit": "string", "custom.align": "right"}
"""For numbers that are texts."""
_AIRFLOW = "${airflow}/dags/${__data.fields.DAG}/runs/${__value.raw:percentencode}"
_NOTHING = "no value is known: the run hasn't come that far, or its points are lost."
_NO_CLASSES = "no classes are known: the model has none, the run hasn't come that far, or points are lost."
_NO_DECISION = "no decision about this run is known."


DASHBOARD = board.board(
    "catwalk-run",
    "Catwalk: run detail",
    "What happened in this run, and how does it compare with the version in service?",
    [
        board.model(),
        board.run(),
        board.epoch_metric(),
        board.champion(),
        board.place("exporter"),
        board.place("airflow"),
    ],
    [board.promotions(), board.starts("run")],
    [
        tile(
            About(
                "State",
                "What is the state of the run, or how did it end, as far as the exporter knows?",
                "this run is not known.",
                "none",
                4,
                4,
            ),
            query(STATE, table=True),
            show="state",
            mappings=mapping(words.STATES),
        ).links([panel_link("Page and report", "${exporter}/runs/${run}")]),
        tile(
            About(
                "Test accuracy",
                "How often is it right on the test examples? Metrics, below, has everything else that was measured.",
                "no test accuracy is known.",
                "percentunit",
                4,
                4,
                2,
            ),
            query(ACCURACY, now=True),
        ),
        tile(
            About(
                "Gap to the champion",
                "By how much is it better than the version in service at that time, on the same test examples? In "
                "percentage points, or in the unit of the headline.",
                "no comparison with a champion is known.",
                "suffix:pp",
                5,
                4,
                2,
            ),
            query(points(of_share(GAP)), now=True),
            query(of_other_headline(GAP), "B", now=True),
            plain="B",
        ),
        tile(
            About("Decision", "Was it shipped, and why?", _NO_DECISION, "none", 7, 4),
            query(DECISION, table=True),
            show="outcome",
            mappings=mapping(words.OUTCOMES),
        ),
        tile(
            About("Duration", "How long did it take, from start to end?", "this run is not known.", "s", 4, 4, 1),
            query(DURATION, now=True),
        ),
        curve(
            About(
                "Loss, train and validation",
                "Does it overfit, and how does it compare with the champion? Train is dashed.",
                _NOTHING,
                "short",
            ),
            LOSS_CURVES,
            series="series",
            axis=far_above(OWN_LOSS, CHAMPION_LOSS),
            dashed="/train$/",
        ),
        curve(
            About(
                "Metric by epoch or step: $metric",
                "How does the selected metric develop, compared with the champion? Train is dashed.",
                "no epoch has this metric, or its points are lost.",
                "none",
                12,
                9,
            ),
            METRIC_CURVES,
            series="series",
            dashed="/train$/",
        ),
        joined(
            About(
                "Metrics",
                "What was measured after the last epoch and in the test, what is the goal, and what does the "
                "version in service have?",
                "no metric is known: the run hasn't come that far, or its points are lost.",
                "none",
                24,
                8,
            ),
            "metric",
            [
                query(METRIC_TEST, "A", table=True),
                query(METRIC_CHAMPION, "B", table=True),
                query(METRIC_VALIDATION, "C", table=True),
                query(METRIC_TRAIN, "D", table=True),
                query(METRIC_INFO, "E", table=True),
            ],
            [
                Column("metric", "Metric", {"custom.width": 180}),
                Column("Value #A", "Test", {"decimals": 4}),
                Column("Value #B", "Test of the champion", {"decimals": 4}),
                Column("Value #C", "Validation", {"decimals": 4}),
                Column("Value #D", "Train", {"decimals": 4}),
                Column("goal", "Goal"),
                Column("unit", "Unit"),
            ],
        ),
        joined(
            About(
                "Gate checks",
                "Which check decided, and how close was it? Failed checks come first. A gap has the bounds of its "
                "95 % interval, in its unit.",
                _NO_DECISION,
                "none",
                24,
                13,
            ),
            "check",
            [
                query(VERDICT, "A", table=True),
                query(CHECK_VALUE, "B", table=True),
                query(CHECK_THRESHOLD, "C", table=True),
                query(CHECK_BOUNDS, "D", table=True),
            ],
            [
                Column(
                    "check",
                    "Check",
                    {**mapped({check: (text, PLAIN) for check, text in words.CHECKS.items()}), "custom.width": 315},
                ),
                Column("verdict", "Verdict", {**mapped(words.VERDICTS), "custom.width": 110}),
                Column("measured", "Value", _RIGHT),
                Column("threshold", "Threshold", _RIGHT),
                Column("bounds", "Bounds", _RIGHT),
            ],
            order="Verdict",
        ),
        joined(
            About("Stages", "What did the last attempt of each stage cost?", _NOTHING, "none", 24, 7),
            "stage",
            [
                query(STAGE_STARTED, "A", table=True),
                query(STAGE_SECONDS, "B", table=True),
                query(STAGE_MEMORY, "C", table=True),
                query(STAGE_CPU, "D", table=True),
                query(STAGE_ATTEMPTS, "E", table=True),
                query(STAGE_GPU_MEMORY, "F", table=True),
                query(STAGE_GPU_USE, "G", table=True),
            ],
            [
                Column("stage", "Stage"),
                Column("Value #A", "Started", {"unit": "dateTimeAsIso", "custom.width": 160}),
                Column("Value #B", "Duration", {"unit": "s"}),
                Column("Value #C", "Peak memory", {"unit": "bytes"}),
                Column("Value #D", "CPU time", {"unit": "s"}),
                Column("Value #F", "GPU memory", {"unit": "bytes"}),
                Column("Value #G", "GPU use", {"unit": "percentunit"}),
                Column("Value #E", "Attempts", {"decimals": 0}),
            ],
            order="Started",
        ),
        joined(
            About(
                "Origin",
                "Where does this run come from, and where is more information?",
                "this run is not known.",
                "none",
                24,
                4,
            ),
            "run_id",
            [query(ORIGIN, "A", table=True), query(DATASET, "B", table=True)],
            [
                Column("run_id", "Page and report", run_links()),
                Column("dag_id", "DAG", {"custom.width": 125}),
                Column("dag_run_id", "DAG run", {"links": [link("Run in Airflow", _AIRFLOW, elsewhere=True)]}),
                Column("trigger", "Trigger"),
                Column("git_commit", "Commit"),
                Column("dataset_sha256", "Dataset"),
            ],
        ),
    ],
    {
        "Accuracy and classes": [
            curve(
                About(
                    "Accuracy, train and validation",
                    "How far apart are train and validation? Train is dashed.",
                    "no accuracy of this run's epochs is known; select another metric above.",
                    "percentunit",
                ),
                ACCURACY_CURVES,
                series="series",
                dashed="/train$/",
            ),
            curve(
                About(
                    "Validation accuracy of each class",
                    "Which classes are learned late, or forgotten?",
                    "no class of an epoch is known.",
                    "percentunit",
                    12,
                    10,
                ),
                CLASS_CURVES,
                series="class",
            ),
            joined(
                About(
                    "Test figures of each class",
                    "How good is each class, and how good is it in service?",
                    _NO_CLASSES,
                    "percentunit",
                    24,
                    12,
                    1,
                ),
                "class",
                [
                    query(CLASS_TEST, "A", table=True),
                    query(CLASS_CHAMPION, "B", table=True),
                    query(CLASS_PRECISION, "C", table=True),
                    query(CLASS_F1, "D", table=True),
                ],
                [
                    Column("class", "Class"),
                    Column("Value #A", "Accuracy (recall)"),
                    Column("Value #B", "Champion's accuracy"),
                    Column("Value #C", "Precision"),
                    Column("Value #D", "F1"),
                ],
            ),
            grid(
                About(
                    "Confusion matrix",
                    "Which classes does the model confuse? Columns are its answers; stronger blue means more.",
                    _NO_CLASSES,
                    "none",
                    24,
                    13,
                    0,
                ),
                CONFUSION,
                "true_class",
                "predicted_class",
                "True class",
                colors="continuous-blues",
            ),
        ],
        "Training dynamics": [
            curve(
                About("Learning rate", "What was the learning rate of the last step of each epoch?", _NOTHING, "none"),
                RATE,
                series="series",
            ),
            curve(
                About(
                    "Gradient norm",
                    "Do the gradients explode or vanish? Mean L2 norm over the steps.",
                    _NOTHING,
                    "none",
                ),
                GRADIENT,
                series="series",
            ),
        ],
        "Hyperparameters and settings": [
            listing(
                About(
                    "Parameters", "With which parameters was it started?", "this run is not known.", "string", 24, 13
                ),
                query(PARAMETERS, table=True),
                [Column("name", "Parameter", {"custom.width": 300}), Column("value", "Value")],
            )
        ],
    },
)
"""The dashboard as JSON."""

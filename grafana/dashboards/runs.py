"""Run comparison: many runs side by side."""

from __future__ import annotations

from catwalk.ledger.records.run import STAGES as STAGE_NAMES
from grafana import board, words
from grafana.panels import About, bars, by_run, curve, grid, joined, mapped, percent, query, run_columns, run_links
from grafana.queries import (
    by_epoch,
    far_off,
    far_off_goal,
    for_each_run,
    gap_bounds,
    headline_of_test,
    in_service,
    metric_of_test,
    of_other_headline,
    of_share,
    outcome,
    parameters,
    points,
    series,
    with_name,
)
from grafana.transformations import Column, Style

_RUNS = 'model="$model", run_id=~"$runs"'


def _last(family: str, *keep: str, where: str = "") -> str:
    """The last value of a run's metric in the range, from any scraped server."""
    by = ", ".join(("run_id", *keep))
    return f"max by ({by}) (last_over_time({family}{{{_RUNS}{where}}}[$__range]))"


TEST_ACCURACY = _last("ml_test_accuracy_ratio")
BEST_LOSS = _last("catwalk_run_best_validation_loss")
LAST_LOSS = _last("catwalk_run_last_validation_loss")
BEST_EPOCH = _last("catwalk_run_best_epoch")
GAP = _last("catwalk_gate_value", where=', check="not_inferior_champion"')
GAP_LOW = _last("catwalk_gate_low", where=', check="not_inferior_champion"')
GAP_HIGH = _last("catwalk_gate_high", where=', check="not_inferior_champion"')
BOUNDS = gap_bounds(GAP_LOW, GAP_HIGH, "run_id")
DECISION = outcome(_last("catwalk_decision_info", "decision", "reason"))
DURATION = _last("catwalk_run_duration_seconds")
STARTED = f"1000 * {_last('catwalk_run_started_timestamp_seconds')}"
STATE = f"{_last('catwalk_run_state', 'state')} == 1"
_ACCURACY_IN_SERVICE = in_service("catwalk_model_accuracy_ratio")
TESTS = series(test_accuracy=TEST_ACCURACY, champion=for_each_run(_ACCURACY_IN_SERVICE, TEST_ACCURACY))
LOSS = _last("ml_epoch_loss", "epoch", where=', split="$split"')
ACCURACY = _last("ml_epoch_accuracy_ratio", "epoch", where=', split="$split"')
_OF_SPLIT = by_epoch(f'{_RUNS}, split="$split"', "[$__range]")
METRIC = f"max by (run_id, epoch) ({_OF_SPLIT})"
METRIC_TEST = f"""max by (run_id) ({metric_of_test(f'{_RUNS}, metric="$metric"')})"""
_IN_SERVICE = in_service("catwalk_model_metric", 'metric="$metric"')
METRIC_TESTS = series(test=METRIC_TEST, champion=for_each_run(_IN_SERVICE, METRIC_TEST))
CLASSES = _last("ml_test_class_accuracy_ratio", "class")
HEADLINE = headline_of_test(_RUNS)
STAGES = _last("ml_stage_duration_seconds", "stage")
SPEED = _last("ml_epoch_examples_per_second", "epoch")
EPOCH_SECONDS = _last("ml_epoch_duration_seconds", "epoch")
_PARAMETERS = parameters(_RUNS, "[$__range]")
_OTHERS = f"count by (name) (count by (name, value) ({_PARAMETERS})) > 1"
_LACKING = f"count by (name) ({_PARAMETERS}) < on () group_left () count(count by (run_id) ({_PARAMETERS}))"
PARAMETERS = f"({_PARAMETERS}) and on (name) ({_OTHERS} or {_LACKING})"

_NOTHING = "no data of these runs is known."
_NO_ACCURACY = "no accuracy of these runs is known."
_NO_CLASSES = "no classes of the selected runs are known in this range: the model may have none."
_POINTS: Style = {"unit": "suffix:pp", "decimals": 2, "custom.width": 85}
"""A difference of percentages is in percentage points."""
_LOSS: Style = {"unit": "short", "decimals": 4, "custom.width": 80}
"""A run that diverges has a loss of many digits."""

DASHBOARD = board.board(
    "catwalk-runs",
    "Catwalk: run comparison",
    "Which runs are better, and what is different about them? The newest runs in the range; select how many above.",
    [
        board.model(),
        board.newest(),
        board.runs(),
        board.split(),
        board.metric(),
        board.goal(),
        board.place("exporter"),
    ],
    [board.promotions(), board.starts("runs")],
    [
        joined(
            About(
                "Runs",
                "How did each run end? Gap: the difference to the champion on the same test examples in percentage "
                "points, with its one-sided 95 % bounds. Best loss: the lowest of validation, whose epoch or step has "
                "the model.",
                _NOTHING,
                "none",
                24,
                13,
            ),
            "run_id",
            [
                query(with_name(STARTED), "A", table=True),
                query(TEST_ACCURACY, "B", table=True),
                query(points(of_share(GAP)), "C", table=True),
                query(BOUNDS, "D", table=True),
                query(BEST_LOSS, "F", table=True),
                query(BEST_EPOCH, "G", table=True),
                query(LAST_LOSS, "H", table=True),
                query(DURATION, "I", table=True),
                query(DECISION, "J", table=True),
                query(HEADLINE, "L", table=True),
                query(of_other_headline(GAP), "M", table=True),
                query(STATE, "P", table=True),
            ],
            [
                *run_columns(),
                Column("state", "State", {**mapped(words.STATES), "custom.width": 85}),
                Column("Value #B", "Accuracy", {**percent(), "custom.width": 80}),
                Column("Value #L", "Headline", {"decimals": 4}),
                Column("outcome", "Decision", {**mapped(words.OUTCOMES), "custom.minWidth": 262}),
                Column("Value #C", "Gap", _POINTS),
                Column("bounds", "95 % bounds", {"custom.width": 120}),
                Column("Value #M", "Headline's gap", {"decimals": 4}),
                Column("Value #F", "Best loss", _LOSS),
                Column("Value #G", "Best epoch", {"decimals": 0, "custom.width": 60}),
                Column("Value #H", "Last loss", _LOSS),
                Column("Value #I", "Duration", {"unit": "s", "decimals": 1, "custom.width": 75}),
            ],
            falling=True,
        ),
        curve(
            About(
                "Loss by epoch or step",
                "Which runs learn faster, and which overfit? Select the split above.",
                _NOTHING,
                "short",
            ),
            LOSS,
            axis=far_off(LOSS, "minimize"),
        ),
        curve(
            About(
                "Metric by epoch or step: $metric",
                "How does the metric develop in each run? Select metric and split above.",
                "no epoch of them has this metric.",
                "none",
            ),
            METRIC,
            axis=far_off_goal(METRIC),
        ),
        by_run(
            About(
                "Metric of the test: $metric",
                "Which runs are better than the version in service? Select the metric above; its goal, if known: "
                "${goal}. One dot a run.",
                "no test of the selected runs in this range has this metric.",
                "none",
                decimals=4,
            ),
            METRIC_TESTS,
            axis=far_off_goal(METRIC_TEST, beside=_IN_SERVICE),
        ),
        bars(
            About("Duration", "Where does each run spend its time? The newest run is first.", _NOTHING, "s"),
            with_name(STAGES),
            "run",
            "stage",
            first="run_id",
            names=STAGE_NAMES,
        ),
    ],
    {
        "Accuracy and classes": [
            curve(
                About(
                    "Accuracy by epoch or step",
                    "How accurate is each run after each epoch? Select the split above.",
                    _NO_ACCURACY,
                    "percentunit",
                ),
                ACCURACY,
                axis=far_off(ACCURACY),
            ),
            by_run(
                About(
                    "Test accuracy and the champion",
                    "Which runs are better than the version in service? One dot a run.",
                    _NO_ACCURACY,
                    "percentunit",
                    decimals=2,
                ),
                TESTS,
                axis=far_off(TEST_ACCURACY, beside=_ACCURACY_IN_SERVICE),
            ),
            grid(
                About(
                    "Accuracy of each class",
                    "Which classes does each run get right on the test examples? Stronger blue means more.",
                    _NO_CLASSES,
                    "percentunit",
                    24,
                    13,
                    1,
                ),
                CLASSES,
                "run_id",
                "class",
                "Run",
                colors="continuous-blues",
                link=run_links(),
            ),
        ],
        "Differences between the runs": [
            grid(
                About(
                    "Parameters that differ",
                    "Which parameters are not the same in all selected runs? A dash: the run has no such parameter.",
                    "no difference between the selected runs is known.",
                    "string",
                    24,
                    12,
                ),
                PARAMETERS,
                "run_id",
                "name",
                "Run",
                value="value",
                link=run_links(),
            )
        ],
        "Speed": [
            curve(
                About("Time of an epoch", "How long do the training steps of each epoch take?", _NOTHING, "s"),
                EPOCH_SECONDS,
            ),
            curve(
                About(
                    "Examples per second",
                    "How fast is each run, regardless of the size of its data?",
                    _NOTHING,
                    "suffix:/s",
                ),
                SPEED,
            ),
        ],
    },
)
"""The dashboard as JSON."""

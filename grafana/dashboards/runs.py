"""Run comparison: many runs side by side."""

from __future__ import annotations

from grafana import board, words
from grafana.panels import About, bars, curve, dots, grid, joined, mapped, percent, query, run_links
from grafana.queries import (
    by_epoch,
    headline_of_test,
    in_service,
    of_other_headline,
    of_share,
    outcome,
    parameters,
    started,
)
from grafana.transformations import Column

_RUNS = 'model="$model", run_id=~"$runs"'


def _last(family: str, *keep: str, where: str = "") -> str:
    """The last value of a run's family in the range, whoever scraped it."""
    by = ", ".join(("run_id", *keep))
    return f"max by ({by}) (last_over_time({family}{{{_RUNS}{where}}}[$__range]))"


TEST_ACCURACY = _last("ml_test_accuracy_ratio")
BEST_LOSS = _last("catwalk_run_best_validation_loss")
LAST_LOSS = _last("catwalk_run_last_validation_loss")
BEST_EPOCH = _last("catwalk_run_best_epoch")
GAP = _last("catwalk_gate_value", where=', check="not_inferior_champion"')
GAP_LOW = _last("catwalk_gate_low", where=', check="not_inferior_champion"')
GAP_HIGH = _last("catwalk_gate_high", where=', check="not_inferior_champion"')
DECISION = outcome(_last("catwalk_decision_info", "decision", "reason"))
DURATION = _last("catwalk_run_duration_seconds")
STARTED = f"1000 * {_last('catwalk_run_started_timestamp_seconds')}"
ORIGIN = _last("catwalk_run_info", "trigger", "git_commit")
CHAMPION = f"0 * {TEST_ACCURACY} + on () group_left () max({in_service('catwalk_model_accuracy_ratio')})"
LOSS = _last("ml_epoch_loss", "epoch", where=', split="$split"')
ACCURACY = _last("ml_epoch_accuracy_ratio", "epoch", where=', split="$split"')
_OF_SPLIT = by_epoch(f'{_RUNS}, split="$split"', "[$__range]")
METRIC = f"max by (run_id, epoch) ({_OF_SPLIT})"
METRIC_TEST = _last("run:metric:last", where=', split="test", metric="$metric"')
_IN_SERVICE = in_service("catwalk_model_metric", 'metric="$metric"')
METRIC_CHAMPION = f"0 * {METRIC_TEST} + on () group_left () max({_IN_SERVICE})"
CLASSES = _last("ml_test_class_accuracy_ratio", "class")
HEADLINE = headline_of_test(_RUNS)
STAGES = _last("ml_stage_duration_seconds", "stage")
SPEED = _last("ml_epoch_examples_per_second", "epoch")
EPOCH_SECONDS = _last("ml_epoch_duration_seconds", "epoch")
_PARAMETERS = parameters(_RUNS, "[$__range]")
_OTHERS = f"count by (name) (count by (name, value) ({_PARAMETERS})) > 1"
_LACKING = f"count by (name) ({_PARAMETERS}) < on () group_left () count(count by (run_id) ({_PARAMETERS}))"
PARAMETERS = f"({_PARAMETERS}) and on (name) ({_OTHERS} or {_LACKING})"

_NOTHING = "no such figures of the chosen runs are known in this range."
_NO_ACCURACY = "no accuracy of the chosen runs is known in this range; choose another metric above."
_NO_CLASSES = "no classes of the chosen runs are known in this range: the model may have none."

DASHBOARD = board.board(
    "catwalk-runs",
    "Catwalk: run comparison",
    "Which runs are better, and what did they do differently? Finished runs of any age in the range.",
    [board.model(), board.runs(), board.split(), board.metric(), board.goal(), board.place("exporter")],
    [board.promotions(), board.starts("runs")],
    [
        joined(
            About(
                "Runs",
                "What came of each run? Gap: difference to the champion on the same test examples, with its one-sided "
                "95 % bounds. Losses are of validation; best: its lowest epoch. The model is the last one.",
                _NOTHING,
                "none",
                24,
                10,
            ),
            "run_id",
            [
                query(STARTED, "A", table=True),
                query(TEST_ACCURACY, "B", table=True),
                query(of_share(GAP), "C", table=True),
                query(of_share(GAP_LOW), "D", table=True),
                query(of_share(GAP_HIGH), "E", table=True),
                query(BEST_LOSS, "F", table=True),
                query(BEST_EPOCH, "G", table=True),
                query(LAST_LOSS, "H", table=True),
                query(DURATION, "I", table=True),
                query(DECISION, "J", table=True),
                query(ORIGIN, "K", table=True),
                query(HEADLINE, "L", table=True),
                query(of_other_headline(GAP), "M", table=True),
                query(of_other_headline(GAP_LOW), "N", table=True),
                query(of_other_headline(GAP_HIGH), "O", table=True),
            ],
            [
                Column("run_id", "Run", run_links()),
                Column("Value #A", "Started", {"unit": "dateTimeFromNow", "custom.width": 135}),
                Column("Value #B", "Accuracy", {**percent(), "custom.width": 85}),
                Column("Value #L", "Headline", {"decimals": 4}),
                Column("outcome", "Decision", {**mapped(words.OUTCOMES), "custom.width": 290}),
                Column("Value #C", "Gap", percent()),
                Column("Value #D", "Gap, low", percent()),
                Column("Value #E", "Gap, high", percent()),
                Column("Value #M", "Headline's gap", {"decimals": 4}),
                Column("Value #N", "Its low", {"decimals": 4}),
                Column("Value #O", "Its high", {"decimals": 4}),
                Column("Value #F", "Best loss", {"decimals": 4}),
                Column("Value #G", "Best epoch or step", {"decimals": 0}),
                Column("Value #H", "Last loss", {"decimals": 4}),
                Column("Value #I", "Duration", {"unit": "dthms", "custom.width": 85}),
                Column("trigger", "Trigger"),
                Column("git_commit", "Commit"),
            ],
            falling=True,
        ),
        curve(
            About(
                "Loss by epoch or step",
                "Which runs learn faster, and which overfit? Split as chosen above.",
                _NOTHING,
                "none",
            ),
            LOSS,
        ),
        curve(
            About(
                "Metric by epoch or step: $metric",
                "How does the chosen metric go in each run? Metric and split as chosen above.",
                "the chosen runs have no such metric of an epoch in this range.",
                "none",
            ),
            METRIC,
        ),
        dots(
            About(
                "Metric of the test and the champion: $metric",
                "Which runs are better than the version in service? The chosen metric; its goal is to ${goal} it, if "
                "that is known. One dot a run at its start.",
                "no test of the chosen runs in this range has this metric.",
                "none",
                decimals=4,
            ),
            [
                query(started(STARTED, METRIC_TEST), "A", table=True),
                query(METRIC_TEST, "B", table=True),
                query(METRIC_CHAMPION, "C", table=True),
            ],
            [
                Column("Value #A", "Started"),
                Column("Value #B", "test"),
                Column("Value #C", "champion"),
            ],
            "Started",
        ),
        bars(
            About("Duration", "Where does each run spend its time?", _NOTHING, "dthms"),
            STAGES,
            "run_id",
            "stage",
        ),
    ],
    {
        "Accuracy and classes": [
            curve(
                About(
                    "Accuracy by epoch or step",
                    "How accurate is each run after each epoch? Split as chosen above.",
                    _NO_ACCURACY,
                    "percentunit",
                ),
                ACCURACY,
            ),
            dots(
                About(
                    "Test accuracy and the champion",
                    "Which runs are better than the version in service? One dot a run at its start.",
                    _NO_ACCURACY,
                    "percentunit",
                    decimals=2,
                ),
                [
                    query(started(STARTED, TEST_ACCURACY), "A", table=True),
                    query(TEST_ACCURACY, "B", table=True),
                    query(CHAMPION, "C", table=True),
                ],
                [
                    Column("Value #A", "Started"),
                    Column("Value #B", "test accuracy"),
                    Column("Value #C", "champion"),
                ],
                "Started",
            ),
            grid(
                About(
                    "Accuracy of each class",
                    "Which classes does each run get right on the test examples? A stronger blue is more.",
                    _NO_CLASSES,
                    "percentunit",
                    24,
                    9,
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
        "What the runs did differently": [
            grid(
                About(
                    "Parameters that differ",
                    "Which parameters are not the same in all chosen runs? A dash: the run has no such parameter.",
                    "no two of the chosen runs are known to differ.",
                    "none",
                    24,
                    8,
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
                About("Examples per second", "How fast is each run, independent of its data's size?", _NOTHING, "cps"),
                SPEED,
            ),
        ],
    },
)
"""As JSON."""

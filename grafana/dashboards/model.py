"""Model health: the model and its data across runs."""

from __future__ import annotations

from grafana import board, words
from grafana.panels import (
    PLAIN,
    SERVICE_LINK,
    About,
    by_run,
    joined,
    lines,
    listing,
    mapped,
    panel_link,
    percent,
    query,
    tile,
)
from grafana.queries import (
    REMEMBERED,
    far_off,
    far_off_goal,
    for_each_run,
    headline_in_service,
    in_service,
    known,
    metric_of_test,
    outcome,
    series,
)
from grafana.transformations import Column

_MODEL = 'model="$model"'
_RECENT = 60
"""Two months of nightly runs."""


_RUNS = f'{_MODEL}, run_id=~"$recent"'


def _of_runs(family: str, *keep: str, where: str = "") -> str:
    """The last value of each run in the range."""
    by = ", ".join(("run_id", *keep))
    return f"max by ({by}) (last_over_time({family}{{{_RUNS}{where}}}[$__range]))"


def _beside(test: str, in_service: str) -> str:
    """Each run's test, and the champion's."""
    return series(test=test, champion=for_each_run(in_service, test))


def _limit(name: str) -> str:
    """A limit: the model's own, or the one for all models."""
    return f'scalar(max(model:threshold:last{{{_MODEL}, name="{name}"}}))'


IN_SERVICE = f"max({in_service('catwalk_model_accuracy_ratio')})"
CALIBRATION_IN_SERVICE = f"max({in_service('catwalk_model_calibration_error_ratio')})"
WORST_CLASS = f"bottomk(1, max by (class) ({in_service('catwalk_model_class_accuracy_ratio')}))"
CHAMPION_AGE = f"time() - max(last_over_time(catwalk_champion_promoted_timestamp_seconds{{{_MODEL}}}[{REMEMBERED}]))"
SINCE_SHIP = f"max({known(f'catwalk_runs_since_ship{{{_MODEL}}}')})"
STATISTIC_IN_SERVICE = f"max by (statistic) ({in_service('model:dataset_statistic:last')})"
STATISTIC_LATEST = f'max by (statistic) (model:dataset_statistic:last{{{_MODEL}, role="latest"}})'
STATISTIC_CHANGE = f"max by (statistic) (model:dataset_statistic:change{{{_MODEL}}})"
_CHANGE, _DISTANCE = (
    f"{name}{{{_MODEL}}}"
    for name in ("model:dataset_statistic_change:ratio", "model:dataset_class_share_ratio:distance")
)
STATISTIC_LIMIT = f"max by (statistic) ({_CHANGE}) / {_limit('dataset_statistic_change_ratio')}"
# DatasetShifted compares these too, under this name. Not the worst of each step: all samples of 90 days take a second.
_SHARES_LIMIT = f"max({_DISTANCE}) / {_limit('class_share_distance_ratio')}"
SHIFT = f'{STATISTIC_LIMIT} or label_replace({_SHARES_LIMIT}, "statistic", "class shares", "", "")'
_STATISTICS = _of_runs("model:dataset_statistic:last", where=', statistic="$statistic"')
_OF_CHAMPION = in_service("model:dataset_statistic:last", 'statistic="$statistic"')
STATISTIC = series(run=_STATISTICS, champion=for_each_run(_OF_CHAMPION, _STATISTICS))
CLASSES = _of_runs("ml_test_class_accuracy_ratio", "class")
_WORST = f"min by (run_id) ({CLASSES})"
WORST_OF_RUNS = series(worst_class=_WORST)
# Those of the latest run are scraped until the next one ends: all samples of sixty nights take half a second. The rule
# is evaluated every five minutes.
_SHARES_NOW = f"last_over_time(catwalk_model_dataset_class_share_ratio{{{_RUNS}}}[10m])"
SHARES = f"{_of_runs('run:dataset_class_share_ratio:last', 'class')} or max by (run_id, class) ({_SHARES_NOW})"
_ACCURACIES, _CALIBRATIONS = map(_of_runs, ("ml_test_accuracy_ratio", "ml_test_calibration_error_ratio"))
ACCURACY = _beside(_ACCURACIES, IN_SERVICE)
_LOSSES, _LOSS_IN_SERVICE = _of_runs("ml_test_loss"), in_service("catwalk_model_loss")
LOSS = _beside(_LOSSES, _LOSS_IN_SERVICE)
CALIBRATION = _beside(_CALIBRATIONS, CALIBRATION_IN_SERVICE)
METRIC_IN_SERVICE = f"max by (metric) ({in_service('catwalk_model_metric')})"
METRIC_LATEST = f'max by (metric) (catwalk_model_metric{{{_MODEL}, role="latest"}})'
METRIC_CHANGE = f"{METRIC_LATEST} - {METRIC_IN_SERVICE}"
METRIC_INFO = f"max by (metric, goal, unit, headline) (last_over_time(catwalk_metric_info{{{_MODEL}}}[{REMEMBERED}]))"
WORST_METRIC = f'max(model:threshold:last{{{_MODEL}, name="$metric"}})'
"""The worst value that the gate accepts, if the model has one."""


def _regressed(goal: str, sign: str) -> str:
    """The value from which on ModelHeadlineRegressed is firing, if the metric is the headline."""
    champion = f'max(catwalk_model_metric{{{_MODEL}, role="champion", metric="$metric", metric!="accuracy"}})'
    decides = f'catwalk_metric_info{{{_MODEL}, metric="$metric", headline="true", goal="{goal}"}}'
    limit = f"{_limit('headline_regression_ratio')} * abs({champion})"
    return f"({champion} {sign} {limit} and on () {decides})"


REGRESSED_METRIC = f"{_regressed('minimize', '+')} or {_regressed('maximize', '-')}"
_TESTED = f"""max by (run_id) ({metric_of_test(f'{_RUNS}, metric="$metric"')})"""
_METRIC_IN_SERVICE = in_service("catwalk_model_metric", 'metric="$metric"')
METRIC = series(
    test=_TESTED,
    champion=for_each_run(_METRIC_IN_SERVICE, _TESTED),
    ModelHeadlineRegressed=for_each_run(REGRESSED_METRIC, _TESTED),
    worst_that_may_ship=for_each_run(WORST_METRIC, _TESTED),
)
_LINES = series(champion=_METRIC_IN_SERVICE, ModelHeadlineRegressed=REGRESSED_METRIC, worst=WORST_METRIC)
DECISIONS = f"count by (outcome) ({outcome(_of_runs('catwalk_decision_info', 'decision', 'reason'))})"

_NO_MODEL = "no version in service is known."
_UNKNOWN = "no such value of a version in service is known."
_NO_CLASSES = "no class of a tested run is known in this range."
_NO_TEST = "no test with this value is known in this range."
_NO_STATISTIC = "no version in this range has this statistic."
_NO_SHIFT = "no latest run and champion with the same statistics are known at a step of this range."

DASHBOARD = board.board(
    "catwalk-model",
    "Catwalk: model health",
    "Is the model as good as it was, and is its training data the same?",
    [board.model(), board.metric(), board.goal(), board.statistic(), board.recent(_RECENT)],
    [board.promotions(), board.firing("model")],
    [
        tile(
            About(
                "Champion's test",
                "How often is the champion right on the test examples, or what is its headline?",
                _UNKNOWN,
                "percentunit",
                8,
                4,
                2,
            ),
            query(IN_SERVICE, legend="accuracy", now=True),
            query(headline_in_service(), "B", "{{metric}}", now=True),
            named=True,
            plain="B",
        ).links([panel_link("In use", SERVICE_LINK)]),
        tile(
            About("Champion's age", "How long has the champion been in service?", _NO_MODEL, "s", 8, 4, 1),
            query(CHAMPION_AGE, now=True),
        ),
        tile(
            About(
                "Runs since the last promotion",
                "How many runs in a row did not ship?",
                "no decision is known.",
                "none",
                8,
                4,
                0,
            ),
            query(SINCE_SHIP, now=True),
        ),
        joined(
            About(
                "Metrics of latest and champion",
                "What did each version reach in the test, what is the goal of each metric, and which is the headline?",
                "no tested version is known.",
                "none",
                24,
                9,
            ),
            "metric",
            [
                query(METRIC_IN_SERVICE, "A", table=True),
                query(METRIC_LATEST, "B", table=True),
                query(METRIC_CHANGE, "C", table=True),
                query(METRIC_INFO, "D", table=True),
            ],
            [
                Column("metric", "Metric", {"custom.width": 180}),
                Column("Value #A", "Champion", {"decimals": 4}),
                Column("Value #B", "Latest", {"decimals": 4}),
                Column("Value #C", "Latest − champion", {"decimals": 4}),
                Column("goal", "Goal"),
                Column("unit", "Unit"),
                Column("headline", "Headline", mapped({"true": ("yes", PLAIN), "false": ("–", PLAIN)})),
            ],
        ),
        by_run(
            About(
                "Metric of the test: $metric",
                "Do new models keep up with the one in service? Select the metric above; its goal, if known: ${goal}. "
                "One dot a run, the last 60 at most. Dashed: the limit of an alert and of the gate, if the model has "
                "one.",
                "no tested run in this range has this metric.",
                "none",
                24,
                10,
                4,
            ),
            METRIC,
            axis=far_off_goal(_TESTED, beside=_LINES),
            dashed="/^(ModelHeadlineRegressed|worst that may ship)$/",
        ),
        listing(
            About(
                "Decisions",
                "How often were runs shipped or held, and why?",
                "no decision is known in this range.",
                "none",
                24,
                8,
            ),
            query(DECISIONS, table=True),
            [
                Column("Value", "Runs", {"decimals": 0, "custom.width": 90}),
                Column("outcome", "Decision", mapped(words.OUTCOMES)),
            ],
            falling=True,
        ),
    ],
    {
        "Accuracy and classes": [
            tile(
                About(
                    "Calibration error in service",
                    "How far are the champion's probabilities from how often it is right?",
                    _UNKNOWN,
                    "percentunit",
                    12,
                    4,
                    2,
                ),
                query(CALIBRATION_IN_SERVICE, now=True),
            ),
            tile(
                About(
                    "Worst class in service",
                    "Which class does the champion recognize least?",
                    _UNKNOWN,
                    "percentunit",
                    12,
                    4,
                    1,
                ),
                query(WORST_CLASS, legend="{{class}}", now=True),
                named=True,
            ),
            by_run(
                About(
                    "Test accuracy",
                    "Do new models keep up with the one in service? One dot a run.",
                    _NO_TEST,
                    "percentunit",
                    8,
                    decimals=2,
                ),
                ACCURACY,
                axis=far_off(_ACCURACIES, beside=IN_SERVICE),
            ),
            by_run(
                About(
                    "Calibration error",
                    "Can the probabilities still be trusted? One dot a run.",
                    _NO_TEST,
                    "percentunit",
                    8,
                    decimals=2,
                ),
                CALIBRATION,
                axis=far_off(_CALIBRATIONS, "minimize", CALIBRATION_IN_SERVICE),
            ),
            by_run(
                About(
                    "Test loss",
                    "Is the model less sure of the right answers? One dot a run.",
                    _NO_TEST,
                    "short",
                    8,
                    decimals=3,
                ),
                LOSS,
                axis=far_off(_LOSSES, "minimize", _LOSS_IN_SERVICE),
            ),
            by_run(
                About(
                    "Accuracy of each class",
                    "Does a class get worse from run to run?",
                    _NO_CLASSES,
                    "percentunit",
                    16,
                    10,
                    1,
                ),
                CLASSES,
                "class",
                axis=far_off(CLASSES),
            ),
            by_run(
                About(
                    "Worst class",
                    "How low is the accuracy of the class that the model recognizes least?",
                    _NO_CLASSES,
                    "percentunit",
                    8,
                    10,
                    1,
                ),
                WORST_OF_RUNS,
                axis=far_off(_WORST),
            ),
        ],
        "Dataset": [
            joined(
                About(
                    "Statistics of latest and champion",
                    "What are the statistics of each version's training data, and how far has each changed, as a "
                    "share of DatasetShifted's limit? From 100 % on, the alert is firing.",
                    "no version with statistics of its data is known.",
                    "none",
                    24,
                    8,
                ),
                "statistic",
                [
                    query(STATISTIC_IN_SERVICE, "A", table=True),
                    query(STATISTIC_LATEST, "B", table=True),
                    query(STATISTIC_CHANGE, "C", table=True),
                    query(STATISTIC_LIMIT, "D", table=True),
                ],
                [
                    Column("statistic", "Statistic", {"custom.width": 180}),
                    Column("Value #A", "Champion", {"decimals": 4}),
                    Column("Value #B", "Latest", {"decimals": 4}),
                    Column("Value #C", "Latest − champion", {"decimals": 4}),
                    Column("Value #D", "Share of the limit", percent(0)),
                ],
                order="Share of the limit",
                falling=True,
            ),
            by_run(
                About(
                    "Statistic of the data: $statistic",
                    "Does the training data shift? Select the statistic above; not every model has one. One dot a run.",
                    _NO_STATISTIC,
                    "none",
                    8,
                    decimals=4,
                ),
                STATISTIC,
            ),
            lines(
                About(
                    "Change of the data, of its limit",
                    "Is the latest run's data still like the champion's? Each statistic's change as a share of "
                    "DatasetShifted's limit; from 100 % on, the alert is firing.",
                    _NO_SHIFT,
                    "percentunit",
                    16,
                    decimals=1,
                ),
                query(SHIFT, legend="{{statistic}}"),
                steps=True,
                limit=1,
                many=True,
            ),
            by_run(
                About(
                    "Share of each class",
                    "Do the classes in the training data shift?",
                    _NO_CLASSES,
                    "percentunit",
                    24,
                    decimals=1,
                ),
                SHARES,
                "class",
            ),
        ],
    },
)
"""The dashboard as JSON."""

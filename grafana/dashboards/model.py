"""Model health: across runs and time."""

from __future__ import annotations

from grafana import board, words
from grafana.panels import SERVICE_LINK, About, dots, joined, lines, listing, mapped, panel_link, percent, query, tile
from grafana.queries import REMEMBERED, headline_in_service, in_service, known, outcome, started
from grafana.transformations import Column

_MODEL = 'model="$model"'
_RECENT = 60
"""Two months of nightly runs."""


def _by_role(family: str) -> str:
    """Always exported and few, so a plain selector is right, and cheap over months."""
    return f"max by (role) ({family}{{{_MODEL}}})"


def _of_runs(family: str, by: str = "run_id") -> str:
    return f"max by ({by}) (last_over_time({family}{{{_MODEL}}}[$__range]))"


def _limit(name: str) -> str:
    """The model's own, or that of every model."""
    return f'scalar(max(model:threshold:last{{{_MODEL}, name="{name}"}}))'


IN_SERVICE = f"max({in_service('catwalk_model_accuracy_ratio')})"
CALIBRATION_IN_SERVICE = f"max({in_service('catwalk_model_calibration_error_ratio')})"
WORST_CLASS = f"bottomk(1, max by (class) ({in_service('catwalk_model_class_accuracy_ratio')}))"
CHAMPION_AGE = f"time() - max(last_over_time(catwalk_champion_promoted_timestamp_seconds{{{_MODEL}}}[{REMEMBERED}]))"
SINCE_SHIP = f"max({known(f'catwalk_runs_since_ship{{{_MODEL}}}')})"
ACCURACY = _by_role("catwalk_model_accuracy_ratio")
LOSS = _by_role("catwalk_model_loss")
CALIBRATION = _by_role("catwalk_model_calibration_error_ratio")
STATISTIC = f'max by (role) (model:dataset_statistic:last{{{_MODEL}, statistic="$statistic"}})'
STATISTIC_IN_SERVICE = f"max by (statistic) ({in_service('model:dataset_statistic:last')})"
STATISTIC_LATEST = f'max by (statistic) (model:dataset_statistic:last{{{_MODEL}, role="latest"}})'
STATISTIC_CHANGE = f"max by (statistic) (model:dataset_statistic:change{{{_MODEL}}})"
_CHANGE = f"max by (statistic) (model:dataset_statistic_change:ratio{{{_MODEL}}})"
STATISTIC_LIMIT = f"{_CHANGE} / {_limit('dataset_statistic_change_ratio')}"
# What DatasetShifted compares besides, under the name that it has in that alert.
_SHARES_LIMIT = f"max(model:dataset_class_share_ratio:distance{{{_MODEL}}}) / {_limit('class_share_distance_ratio')}"
SHIFT = f'{STATISTIC_LIMIT} or label_replace({_SHARES_LIMIT}, "statistic", "class shares", "", "")'
# A series a class and run: of a thousand runs there would be thousands, so these show the last runs.
_LATEST = f'{_MODEL}, role="latest", run_id=~"$recent"'
CLASSES = f"max by (class) (catwalk_model_class_accuracy_ratio{{{_LATEST}}})"
WORST_LATEST = f"min(catwalk_model_class_accuracy_ratio{{{_LATEST}}})"
SHARES = f"max by (class) (catwalk_model_dataset_class_share_ratio{{{_LATEST}}})"
RUN_STARTED = f"1000 * {_of_runs('catwalk_run_started_timestamp_seconds')}"
RUN_ACCURACY = _of_runs("ml_test_accuracy_ratio")
METRIC_IN_SERVICE = f"max by (metric) ({in_service('catwalk_model_metric')})"
METRIC_LATEST = f'max by (metric) (catwalk_model_metric{{{_MODEL}, role="latest"}})'
METRIC_CHANGE = f"{METRIC_LATEST} - {METRIC_IN_SERVICE}"
METRIC_INFO = f"max by (metric, goal, unit, headline) (last_over_time(catwalk_metric_info{{{_MODEL}}}[{REMEMBERED}]))"
METRIC = f'max by (role) (catwalk_model_metric{{{_MODEL}, metric="$metric"}})'
WORST_METRIC = f'max(model:threshold:last{{{_MODEL}, name="$metric"}})'
"""What the gate lets pass at worst, where the model says so."""


def _regressed(goal: str, sign: str) -> str:
    """The value from which on ModelHeadlineRegressed fires, if the metric is what the gate decides by."""
    champion = f'max(catwalk_model_metric{{{_MODEL}, role="champion", metric="$metric", metric!="accuracy"}})'
    decides = f'catwalk_metric_info{{{_MODEL}, metric="$metric", headline="true", goal="{goal}"}}'
    limit = f"{_limit('headline_regression_ratio')} * abs({champion})"
    return f"({champion} {sign} {limit} and on () {decides})"


REGRESSED_METRIC = f"{_regressed('minimize', '+')} or {_regressed('maximize', '-')}"
RUN_METRIC = f'max by (run_id) (last_over_time(run:metric:last{{{_MODEL}, split="test", metric="$metric"}}[$__range]))'
DECISIONS = f"count by (outcome) ({outcome(_of_runs('catwalk_decision_info', 'run_id, decision, reason'))})"

_NO_MODEL = "no version in service is known."
_UNKNOWN = "not known."
_NO_CLASSES = "no classes of a tested model are known at any whole step of this range: the model may have none."
_NO_TEST = "no test with this figure is known at any whole step of this range; a shorter one has shorter steps."
_NO_STATISTIC = "no version says this of its data at any whole step of this range: the model may tell no statistics."
_NO_SHIFT = "no latest run and champion that tell the same of their data are known at any whole step of this range."
_NO_RUN = "no tested run with an accuracy is known in this range."

DASHBOARD = board.board(
    "catwalk-model",
    "Catwalk: model health",
    "Is the model as good as it was, and is what it learns from the same? Across runs and time.",
    [board.model(), board.metric(), board.goal(), board.statistic(), board.recent(_RECENT)],
    [board.promotions(), board.firing("model")],
    [
        tile(
            About(
                "Champion's test",
                "How good is the champion by what it is judged by: how often is it right, or another metric's value?",
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
            About("Champion's age", "How long has the champion been in service?", _NO_MODEL, "s", 8, 4, 0),
            query(CHAMPION_AGE, now=True),
        ),
        tile(
            About(
                "Runs since a ship", "How many runs in a row did not ship?", "no decision is known.", "none", 8, 4, 0
            ),
            query(SINCE_SHIP, now=True),
        ),
        joined(
            About(
                "Metrics of latest and champion",
                "What is each version's test, which way should each metric go, and by which does the gate decide?",
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
                Column("Value #C", "Latest less champion", {"decimals": 4}),
                Column("goal", "Goal"),
                Column("unit", "Unit"),
                Column("headline", "Decides"),
            ],
        ),
        lines(
            About(
                "Metric of the test: $metric",
                "Do new models keep up with the one in service? The chosen metric; its goal is to ${goal} it, if "
                "that is known. Dashed: what an alert or the gate takes for too bad, where the model has such a limit.",
                "no test at any whole step of this range has this metric; a shorter range has shorter steps.",
                "none",
                decimals=4,
            ),
            query(METRIC, legend="{{role}}"),
            query(REGRESSED_METRIC, "B", legend="ModelHeadlineRegressed"),
            query(WORST_METRIC, "C", legend="worst that may ship"),
            steps=True,
            dashed="/^(ModelHeadlineRegressed|worst that may ship)$/",
        ),
        dots(
            About(
                "Metric of every run: $metric",
                "How much do runs differ, sweeps and trials included? The chosen metric; its goal is to ${goal} "
                "it, if that is known. One dot a run at its start.",
                "no tested run in this range has this metric.",
                "none",
                decimals=4,
            ),
            [query(started(RUN_STARTED, RUN_METRIC), "A", table=True), query(RUN_METRIC, "B", table=True)],
            [Column("Value #A", "Started"), Column("Value #B", "test")],
            "Started",
        ),
        listing(
            About(
                "Decisions",
                "How often were runs shipped or held, and why?",
                "no decision about a run is known in this range.",
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
                    "Which class does the champion get right least?",
                    _UNKNOWN,
                    "percentunit",
                    12,
                    4,
                    1,
                ),
                query(WORST_CLASS, legend="{{class}}", now=True),
                named=True,
            ),
            lines(
                About(
                    "Test accuracy",
                    "Do new models keep up with the one in service? Purple marks are promotions.",
                    _NO_TEST,
                    "percentunit",
                    decimals=2,
                ),
                query(ACCURACY, legend="{{role}}"),
                steps=True,
            ),
            dots(
                About(
                    "Test accuracy of every run",
                    "How much do runs differ, sweeps and trials included? One dot a run at its start.",
                    _NO_RUN,
                    "percentunit",
                    decimals=2,
                ),
                [query(started(RUN_STARTED, RUN_ACCURACY), "A", table=True), query(RUN_ACCURACY, "B", table=True)],
                [Column("Value #A", "Started"), Column("Value #B", "test accuracy")],
                "Started",
            ),
            lines(
                About(
                    "Calibration error",
                    "Are the probabilities still to be trusted?",
                    _NO_TEST,
                    "percentunit",
                    decimals=2,
                ),
                query(CALIBRATION, legend="{{role}}"),
                steps=True,
            ),
            lines(
                About("Test loss", "Is the model less sure of what is right?", _NO_TEST, "none", decimals=3),
                query(LOSS, legend="{{role}}"),
                steps=True,
            ),
            lines(
                About(
                    "Accuracy of each class",
                    "Does a class get worse from run to run? Of the last 60 runs, scheduled or manual ones.",
                    _NO_CLASSES,
                    "percentunit",
                    height=10,
                    decimals=1,
                ),
                query(CLASSES, legend="{{class}}"),
                steps=True,
                apart=True,
                most=1,
            ),
            lines(
                About(
                    "Worst class",
                    "How low is the accuracy of the class that is recognised least?",
                    _NO_CLASSES,
                    "percentunit",
                    height=10,
                    decimals=1,
                ),
                query(WORST_LATEST, legend="latest"),
                steps=True,
                most=1,
            ),
        ],
        "Dataset": [
            joined(
                About(
                    "Statistics of latest and champion",
                    "What is told of the data that each version learnt from, and how much of what DatasetShifted "
                    "allows has each changed by? From 100 % on, the alert fires.",
                    "no version that tells statistics of its data is known.",
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
                    Column("Value #C", "Latest less champion", {"decimals": 4}),
                    Column("Value #D", "Change, of its limit", percent(0)),
                ],
                order="Change, of its limit",
                falling=True,
            ),
            lines(
                About(
                    "Statistic of the data: $statistic",
                    "Does the data that the model learns from shift? The chosen statistic.",
                    _NO_STATISTIC,
                    "none",
                    8,
                    decimals=4,
                ),
                query(STATISTIC, legend="{{role}}"),
                steps=True,
            ),
            lines(
                About(
                    "Change of the data, of its limit",
                    "Is the latest run's data still like the champion's? Each statistic's change as a share of what "
                    "DatasetShifted allows; from 100 % on, the alert fires.",
                    _NO_SHIFT,
                    "percentunit",
                    8,
                    decimals=1,
                ),
                query(SHIFT, legend="{{statistic}}"),
                steps=True,
                limit=1,
            ),
            lines(
                About(
                    "Share of each class",
                    "Do the classes in the training data shift? Of the last 60 runs, scheduled or manual ones.",
                    _NO_CLASSES,
                    "percentunit",
                    8,
                    decimals=1,
                ),
                query(SHARES, legend="{{class}}"),
                steps=True,
                apart=True,
            ),
        ],
    },
)
"""As JSON."""

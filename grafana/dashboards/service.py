"""Service: one model in service, by the metrics of its replicas (docs/service.md)."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.models.common import ScaleDistribution

from grafana import board
from grafana.panels import FINE, LOOK, About, bars, joined, lines, listing, mapped, query, run_links, tile, words
from grafana.queries import REMEMBERED, STEP, rate, worst
from grafana.transformations import Column, Style

_MODEL = 'model="$model"'
_INFO = f"catwalk_service_info{{{_MODEL}}}"


def _increase(counter: str, window: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (increase({counter}{{{_MODEL}}}[{window}]))"


def _rate(counter: str, by: str = "") -> str:
    return rate(f"{counter}{{{_MODEL}}}", by)


_PREDICTIONS, _ERRORS = "catwalk_service_predictions_total", "catwalk_service_errors_total"
_REQUESTS, _BUCKETS = "catwalk_service_duration_seconds_count", "catwalk_service_duration_seconds_bucket"
_ASKED, _ASKED_NOW = f"{_rate(_REQUESTS)} > 0", f"{_increase(_REQUESTS, '10m')} > 0"
"""Without requests there is no share and no percentile."""

REPLICAS = f"count(group by (job, instance) ({_INFO})) or 0 * group(last_over_time({_INFO}[{REMEMBERED}]))"
PREDICTIONS = _increase(_PREDICTIONS, "1h")
ERRORS = f"{_increase(_ERRORS, '10m')} / ({_ASKED_NOW})"
P99 = f"histogram_quantile(0.99, {_increase(_BUCKETS, '10m', 'le')}) and on () {_ASKED_NOW}"
_EXCESS = "model:service_feature:excess"
FURTHEST = f"topk(1, max by (side, feature, window) ({_EXCESS}{{{_MODEL}}}))"
EXCESS = worst("max", f"{_EXCESS}{{{_MODEL}}}", "side, window")
VERSIONS = f"count by (version, origin) (group by (version, origin, job, instance) ({_INFO}))"
VERSION_PREDICTIONS = _increase(_PREDICTIONS, "1h", "version")
CHAMPION = f'max by (version) (label_join(exporter:champion_info:held{{{_MODEL}}}, "version", "", "run_id"))'
TRAFFIC, FAILED = _rate(_PREDICTIONS, "version"), _rate(_ERRORS)
LATENCY = {
    name: f"histogram_quantile({share}, {_rate(_BUCKETS, 'le')}) and on () {_ASKED}"
    for name, share in (("p50", 0.5), ("p99", 0.99))
}
LATENCY_LIMIT = f'max(model:threshold:last{{{_MODEL}, name="service_duration_seconds"}}) and on () {_ASKED}'
MEMORY = " / ".join(worst("max", f"catwalk_service_memory{of}_bytes{{{_MODEL}}}", "instance") for of in ("", "_limit"))
MEMORY_LIMIT = f"max(threshold:service_memory_ratio:max) and on () ({MEMORY})"
REPLICA_TRAFFIC = _rate(_PREDICTIONS, "instance")


def _by_feature(record: str, window: str = "") -> str:
    """Side and name together, because an input may be called `class` too."""
    where = f'{_MODEL}, window="{window}"' if window else _MODEL
    return f'max by (name) (label_join({record}{{{where}}}, "name", " ", "side", "feature"))'


def _history(window: str) -> str:
    return worst("max", f'{_EXCESS}{{{_MODEL}, window="{window}"}}', "side, feature")


def _shares(features: str) -> str:
    """The share of each bin by window; `reference` has those of the reference's examples."""
    where = f'{{{_MODEL}, side="prediction", feature=~"{features}"}}'
    met, held = f"model:service_bin:window{where}", f"model:reference_bin:last{where}"
    # A bin without any, such as for missing values, would only be in the legend.
    of_windows = f"(sum by (window, bin) ({met}) > 0) / on (window) group_left () (sum by (window) ({met}) > 0)"
    of_reference = f"(sum by (bin) ({held}) > 0) / on () group_left () sum({held})"
    return f'{of_windows} or label_replace({of_reference}, "window", "reference", "", "")'


_REALISED = f'catwalk_realised_metric{{{_MODEL}, window="7d"'
REALISED = {bound: f'max by (version, metric) ({_REALISED}, bound="{bound}"}})' for bound in ("value", "low", "high")}
TESTED = f"""max by (metric) (exporter:model_metric:held{{{_MODEL}, role="champion"}})
and on (metric) group by (metric) (catwalk_realised_metric{{{_MODEL}}})"""


def _logged(outcome: str) -> str:
    return f'max by (version) (catwalk_logged_predictions{{{_MODEL}, outcome="{outcome}"}})'


def _of_day(bound: str) -> str:
    of = f'catwalk_realised_day_metric{{{_MODEL}, bound="{bound}"}}'
    return f'max by (name) (label_join({of}, "name", " ", "day", "version"))'


_SERVER_ANSWERS, _CHECKED = "catwalk_server_answers_total", "catwalk_server_champion_checked_timestamp_seconds"
SERVER_ANSWERS = f"{_rate(_SERVER_ANSWERS, 'code')} > 0"
CHAMPION_CHECKED = f"1000 * min by (instance) ({_CHECKED}{{{_MODEL}}} > 0)"
REFUSED = f"count by (version) (catwalk_server_model_refused{{{_MODEL}}})"
ANSWERS, CONFIDENCE = _shares("class|score"), _shares("confidence")
_ESTIMATE, _MARGIN = (f"model:service_estimate:{of}{{{_MODEL}}}" for of in ("accuracy", "margin"))


def _newest(record: str) -> str:
    """Its last value in each step, so that the last step reaches the present."""
    return f"last_over_time({record}{STEP})"


def _estimated(value: str, trusted: int) -> str:
    told = _newest(f"model:service_estimate:trusted{{{_MODEL}}}")
    return f"max by (version) ({value} and on (model, version) {told} == {trusted})"


ESTIMATES = [_estimated(_newest(_ESTIMATE), trusted) for trusted in (1, 0)]
LEAST, MOST = (
    f"clamp({_estimated(f'{_newest(_ESTIMATE)} {sign} {_newest(_MARGIN)}', 1)}, 0, 1)" for sign in ("-", "+")
)

_NO_REPLICA = "no replica was scraped twice in this range."
_NO_REQUEST = "no request is known in this range."
_NO_REQUEST_NOW = "no request in 10 minutes is known."
_NO_REFERENCE = "no replica was scraped in the last 15 minutes."
_TOO_FEW = "no replica was scraped, or it made too few predictions: a value needs 200 in a day or 100 in an hour."
_NO_CONFIDENCE = "no replica of a model with classes was scraped in the last 15 minutes or so."
_NO_LABELS = "no prediction of the last 28 days has a label, or the exporter wasn't scraped."
_NO_LOG = "no prediction of the last 28 days is in the log that labels are joined to."
_NO_SERVER = "no server of `catwalk serve` was scraped in this range, or none was asked anything."
_OVER: Style = {
    "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "text"}, {"value": 1, "color": LOOK}]},
    "custom.cellOptions": {"type": "color-text"},
    "decimals": 2,
}

DASHBOARD = board.board(
    "catwalk-service",
    "Catwalk: service",
    "Does the model in service answer, how fast, and do its inputs look like those of its test?",
    [board.served_model(), board.place("exporter")],
    [board.promotions(), board.firing("model")],
    [
        tile(
            About(
                "Replicas",
                "How many processes that serve the model are scraped now?",
                "no replica was scraped in a week.",
                "none",
                4,
                4,
            ),
            query(REPLICAS, now=True),
            mappings=words({"0": ("none is scraped", LOOK)}),
        ),
        tile(
            About(
                "Predictions in 1 h",
                "How many predictions did the service make?",
                "no replica was scraped twice in that hour.",
                "short",
                5,
                4,
            ),
            query(PREDICTIONS, now=True),
        ),
        tile(
            About(
                "Failed requests",
                "What share of the requests of the last 10 minutes ended in an error?",
                _NO_REQUEST_NOW,
                "percentunit",
                5,
                4,
                1,
            ),
            query(ERRORS, now=True),
        ),
        tile(
            About(
                "Latency, p99",
                "How long did the requests of the last 10 minutes take, at the 99th percentile?",
                _NO_REQUEST_NOW,
                "s",
                5,
                4,
            ),
            query(P99, now=True),
        ),
        tile(
            About(
                "Largest shift",
                "Which input or answer is furthest from its reference, as a multiple of its limit? From 1 on, the "
                "shift is certainly larger than the smallest one that matters. A value needs 200 predictions in a day "
                "or 100 in an hour.",
                "no replica is scraped, or too few predictions.",
                "none",
                5,
                4,
                2,
            ),
            query(FURTHEST, legend="{{feature}}, {{window}}", now=True),
            named=True,
            alarming=LOOK,
        ),
        lines(
            About(
                "Largest shift, by side and window",
                "How far is the feature with the largest shift from its reference, as a multiple of its limit? Inputs "
                "and predictions, over a day and, for gross faults, over an hour. From 1 on, the shift is certainly "
                "larger than the smallest one that matters.",
                f"no value is known in this range: {_TOO_FEW}",
                "none",
                11,
                8,
                2,
            ),
            query(EXCESS, legend="{{side}}, {{window}}"),
            minutes=True,
            limit=1,
            names=("input, day", "input, hour", "prediction, day", "prediction, hour"),
        ),
        joined(
            About(
                "Versions",
                "Which version answers, and is it the champion? The reference comes from the version's test or from "
                "the service's own days.",
                "no replica is scraped, and no champion is known.",
                "none",
                13,
                8,
            ),
            "version",
            [
                query(VERSIONS, "A", table=True),
                query(VERSION_PREDICTIONS, "B", table=True),
                query(CHAMPION, "C", table=True),
            ],
            [
                Column("version", "Version", run_links()),
                Column(
                    "Value #C",
                    "Role",
                    {**mapped({"1": ("champion", FINE)}), "custom.align": "left", "custom.width": 80},
                ),
                Column("Value #A", "Replicas", {"custom.width": 75}),
                Column("Value #B", "Predictions in 1 h", {"decimals": 0, "custom.width": 95}),
                Column("origin", "Reference"),
            ],
            falling=True,
        ),
        joined(
            About(
                "Features",
                "How far is each input and answer from its reference? The shift is about the same as PSI; the floor is "
                "the smallest shift that matters. Few predictions make a limit wide: below 1,000 a day, only gross "
                "shifts reach 1.",
                _NO_REFERENCE,
                "none",
                24,
                12,
            ),
            "name",
            [
                query(_by_feature(_EXCESS), "A", table=True),
                query(_by_feature(_EXCESS, "day"), "B", table=True),
                query(_by_feature(_EXCESS, "hour"), "C", table=True),
                query(_by_feature("model:service_feature:shift", "day"), "D", table=True),
                query(_by_feature("model:service_feature:shift", "hour"), "E", table=True),
                query(_by_feature("model:service_feature:floor", "day"), "F", table=True),
                query(_by_feature("model:service_feature:examples", "day"), "G", table=True),
                query(_by_feature("model:service_feature:examples", "hour"), "H", table=True),
            ],
            [
                Column("name", "Feature", {"custom.width": 180}),
                Column("Value #A", "Multiple of the limit", _OVER),
                Column("Value #B", "Day", _OVER),
                Column("Value #C", "Hour", _OVER),
                Column("Value #D", "Shift, day", {"decimals": 3}),
                Column("Value #E", "Shift, hour", {"decimals": 3}),
                Column("Value #F", "Floor", {"decimals": 3}),
                Column("Value #G", "Predictions, day", {"decimals": 0}),
                Column("Value #H", "Predictions, hour", {"decimals": 0}),
            ],
            order="Multiple of the limit",
            falling=True,
        ),
        lines(
            About("Traffic", "How many predictions per second does each version make?", _NO_REPLICA, "reqps", 12, 8),
            query(TRAFFIC, legend="{{version}}"),
            query(FAILED, "B", "failed requests"),
        ),
        lines(
            About(
                "Latency",
                "How long does a request take, at the median and at the 99th percentile? The limit is ServiceSlow's. "
                "The axis is logarithmic, because the limit is often far away.",
                _NO_REQUEST,
                "s",
                12,
                8,
            ),
            *(query(expr, chr(ord("A") + number), name) for number, (name, expr) in enumerate(LATENCY.items())),
            query(LATENCY_LIMIT, "C", "limit"),
            dashed="/^limit$/",
        ).scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10)),
        bars(
            About(
                "Answers",
                "Which classes or scores did the service answer in the last hour and day, compared with the reference? "
                "A window without data has no bar.",
                _NO_REFERENCE,
                "percentunit",
                12,
                8,
                1,
            ),
            ANSWERS,
            "window",
            "bin",
        ),
        bars(
            About(
                "Confidence",
                "How confident are the answers of the last hour and day, compared with the reference? The highest "
                "probability counts.",
                _NO_CONFIDENCE,
                "percentunit",
                12,
                8,
                1,
            ),
            CONFIDENCE,
            "window",
            "bin",
        ),
    ],
    {
        "Accuracy": [
            lines(
                About(
                    "Accuracy, estimated",
                    "How many answers of the last day are right, estimated from the model's own confidence without "
                    "labels? Dashed lines are the bounds of the interval. Grey values can't be trusted: "
                    "ServiceEstimateUntrusted says why. No alert reads the estimate.",
                    "no replica was scraped in this range, up to a few minutes ago, or it got no requests. Regressions "
                    "and models whose reference has no labels have no estimate.",
                    "percentunit",
                    24,
                    8,
                    1,
                ),
                query(ESTIMATES[0], legend="{{version}}"),
                query(LEAST, "B", "low, {{version}}"),
                query(MOST, "C", "high, {{version}}"),
                query(ESTIMATES[1], "D", "untrusted, {{version}}"),
                minutes=True,
                dashed="/^(low|high), /",
            ),
        ],
        "Each feature over time": [
            lines(
                About(
                    f"Shift over {article} {window}",
                    "How far is each feature from its reference, as a multiple of its limit?",
                    f"no value is known in this range: no replica was scraped, or it counted "
                    f"fewer than {least} predictions in {article} {window}.",
                    "none",
                    12,
                    9,
                    2,
                ),
                query(_history(window), legend="{{side}} {{feature}}"),
                minutes=True,
                limit=1,
                many=True,
            )
            for article, window, least in (("a", "day", 200), ("an", "hour", 100))
        ],
        "By labels": [
            lines(
                About(
                    "Realised in a week",
                    "How good are the predictions of the last 7 days according to their labels, compared with the "
                    "champion's test? Low and high are the bounds of the 95 % interval.",
                    _NO_LABELS,
                    "none",
                    12,
                    9,
                    3,
                ),
                *(
                    query(expr, chr(ord("A") + number), f"{{{{version}}}} {{{{metric}}}} {bound}")
                    for number, (bound, expr) in enumerate(REALISED.items())
                ),
                query(TESTED, "D", "test {{metric}}"),
                dashed="/^test/",
            ),
            joined(
                About(
                    "Realised by day",
                    "How good are the predictions of each day, according to the labels received so far?",
                    _NO_LABELS,
                    "none",
                    12,
                    9,
                    3,
                ),
                "name",
                [query(_of_day(bound), ref, table=True) for ref, bound in zip("ABC", REALISED, strict=True)],
                [
                    Column("name", "Day and version", {"custom.width": 255}),
                    Column("Value #A", "Realised"),
                    Column("Value #B", "Low"),
                    Column("Value #C", "High"),
                ],
                falling=True,
            ),
            joined(
                About(
                    "Logged predictions",
                    "What happened to the predictions of the last 28 days, and how many have a label? Logged, sampled "
                    "out, dropped and lost add up to served.",
                    _NO_LOG,
                    "none",
                    24,
                    6,
                    0,
                ),
                "version",
                [
                    query(_logged(outcome), ref, table=True)
                    for ref, outcome in zip(
                        "ABCDEF", ("served", "logged", "sampled_out", "dropped", "lost", "labelled"), strict=True
                    )
                ],
                [
                    Column("version", "Version", run_links()),
                    Column("Value #A", "Served"),
                    Column("Value #B", "Logged"),
                    Column("Value #C", "Sampled out"),
                    Column("Value #D", "Dropped"),
                    Column("Value #E", "Lost"),
                    Column("Value #F", "Labelled"),
                ],
                falling=True,
            ),
        ],
        "Server (catwalk serve)": [
            lines(
                About(
                    "Responses by status",
                    "How many requests per second does `catwalk serve` answer with each HTTP status? Refusals count "
                    "too: 4xx is the client's fault, 5xx the server's.",
                    _NO_SERVER,
                    "reqps",
                    12,
                    8,
                ),
                query(SERVER_ANSWERS, legend="{{code}}"),
                names=("200",),
            ),
            listing(
                About(
                    "Last champion check",
                    "When did each server last learn from the ledger which version is the champion? A server "
                    "that can't keeps its version.",
                    "no server of `catwalk serve` is scraped, or none has reached the ledger yet.",
                    "none",
                    6,
                    8,
                ),
                query(CHAMPION_CHECKED, table=True),
                [
                    Column("instance", "Server"),
                    Column("Value", "Checked", {"unit": "dateTimeFromNow", "custom.width": 140}),
                ],
            ),
            listing(
                About(
                    "Refused versions",
                    "Which version could servers not load, and how many servers? ServiceModelRefused is firing then, "
                    "and the previous version keeps answering.",
                    "no server refuses a version.",
                    "none",
                    6,
                    8,
                ),
                query(REFUSED, table=True),
                [Column("version", "Version", run_links()), Column("Value", "Servers", {"decimals": 0})],
            ),
        ],
        "Each replica": [
            lines(
                About(
                    "Traffic of each replica",
                    "How many predictions per second does each replica make?",
                    _NO_REPLICA,
                    "reqps",
                    12,
                    8,
                ),
                query(REPLICA_TRAFFIC, legend="{{instance}}"),
                many=True,
            ),
            lines(
                About(
                    "Memory of each replica",
                    "How much of its memory limit does each replica use? The limit is ServiceMemoryHigh's.",
                    "no replica with a memory metric is known in this range.",
                    "percentunit",
                    12,
                    8,
                    1,
                ),
                query(MEMORY, legend="{{instance}}"),
                query(MEMORY_LIMIT, "B", "limit"),
                dashed="/^limit$/",
                many=True,
            ),
        ],
    },
    since=board.DAY,
)
"""The dashboard as JSON."""

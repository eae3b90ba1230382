"""Service: one model in use, by what its replicas count (docs/service.md)."""

from __future__ import annotations

from grafana import board
from grafana.panels import FINE, LOOK, About, bars, joined, lines, mapped, query, run_links, tile, words
from grafana.queries import REMEMBERED, worst
from grafana.transformations import Column, Style

_MODEL = 'model="$model"'
_INFO = f"catwalk_service_info{{{_MODEL}}}"


def _increase(counter: str, window: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (increase({counter}{{{_MODEL}}}[{window}]))"


def _rate(counter: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({counter}{{{_MODEL}}}[$__rate_interval]))"


_PREDICTIONS, _ERRORS = "catwalk_service_predictions_total", "catwalk_service_errors_total"
_REQUESTS, _BUCKETS = "catwalk_service_duration_seconds_count", "catwalk_service_duration_seconds_bucket"
_ASKED, _ASKED_NOW = f"{_rate(_REQUESTS)} > 0", f"{_increase(_REQUESTS, '10m')} > 0"
"""Of no requests there is no share and no percentile."""

REPLICAS = f"count(group by (job, instance) ({_INFO})) or 0 * group(last_over_time({_INFO}[{REMEMBERED}]))"
PREDICTIONS = _increase(_PREDICTIONS, "1h")
ERRORS = f"{_increase(_ERRORS, '10m')} / ({_ASKED_NOW})"
P99 = f"histogram_quantile(0.99, {_increase(_BUCKETS, '10m', 'le')}) and on () {_ASKED_NOW}"
_EXCESS = "model:service_feature:excess"
FURTHEST = f"topk(1, max by (side, feature, window) ({_EXCESS}{{{_MODEL}}}))"
EXCESS = f"max by (side, window) ({_EXCESS}{{{_MODEL}}})"
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
    """Side and name together: an input may be called `class` too."""
    where = f'{_MODEL}, window="{window}"' if window else _MODEL
    return f'max by (name) (label_join({record}{{{where}}}, "name", " ", "side", "feature"))'


def _history(window: str) -> str:
    return f'max by (side, feature) ({_EXCESS}{{{_MODEL}, window="{window}"}})'


def _shares(features: str) -> str:
    """By window and bin, how many of what was answered; under `reference`, of its examples."""
    where = f'{{{_MODEL}, side="prediction", feature=~"{features}"}}'
    met, held = f"model:service_bin:window{where}", f"model:reference_bin:last{where}"
    of_windows = f"sum by (window, bin) ({met}) / on (window) group_left () (sum by (window) ({met}) > 0)"
    of_reference = f"sum by (bin) ({held}) / on () group_left () sum({held})"
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


ANSWERS, CONFIDENCE = _shares("class|score"), _shares("confidence")
_ESTIMATE, _MARGIN = (f"model:service_estimate:{of}{{{_MODEL}}}" for of in ("accuracy", "margin"))


def _estimated(value: str, trusted: int) -> str:
    return f"max by (version) ({value} and on (model, version) model:service_estimate:trusted{{{_MODEL}}} == {trusted})"


ESTIMATES = [_estimated(_ESTIMATE, trusted) for trusted in (1, 0)]
LEAST, MOST = (f"clamp({edge}, 0, 1)" for edge in (_estimated(f"{_ESTIMATE} {sign} {_MARGIN}", 1) for sign in "-+"))

_NO_REPLICA = "no two scrapes of a replica are known in this range, up to its last whole step."
_NO_REQUEST = "no request is known in this range, up to its last whole step."
_NO_REQUEST_NOW = "no request of the last 10 minutes is known."
_NO_REFERENCE = "no replica was scraped in the last quarter of an hour, up to some minutes ago."
_TOO_FEW = "no replica was scraped, or too little asked: 200 predictions of a day or 100 of an hour give a figure."
_NO_CONFIDENCE = "no replica of a model with classes was scraped in the last quarter of an hour or so."
_NO_LABELS = "no label was joined to a prediction of the last 28 days, or the exporter was not scraped."
_NO_LOG = "no prediction of the last 28 days is in the log that labels were joined to."
_OVER: Style = {
    "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "text"}, {"value": 1, "color": LOOK}]},
    "custom.cellOptions": {"type": "color-text"},
    "decimals": 2,
}

DASHBOARD = board.board(
    "catwalk-service",
    "Catwalk: service",
    "Does the model in use answer, how fast, and is it asked what it was tested on?",
    [board.served_model(), board.place("exporter")],
    [board.promotions(), board.firing("model")],
    [
        tile(
            About(
                "Replicas",
                "How many processes that serve the model are scraped now?",
                "no replica was scraped in the last week.",
                "none",
                5,
                4,
            ),
            query(REPLICAS, now=True),
            mappings=words({"0": ("none is scraped", LOOK)}),
        ),
        tile(
            About(
                "Predictions of the last hour",
                "How much is asked?",
                "no two scrapes of a replica in the last hour are known.",
                "short",
                5,
                4,
                0,
            ),
            query(PREDICTIONS, now=True),
        ),
        tile(
            About(
                "Failed requests",
                "Which share of the last 10 minutes' requests ended in an error?",
                _NO_REQUEST_NOW,
                "percentunit",
                4,
                4,
                1,
            ),
            query(ERRORS, now=True),
        ),
        tile(
            About(
                "Slowest in a hundred",
                "How long did the last 10 minutes' requests take, at the 99th percentile?",
                _NO_REQUEST_NOW,
                "s",
                5,
                4,
            ),
            query(P99, now=True),
        ),
        tile(
            About(
                "Furthest feature",
                "Which input or answer is furthest from its reference, for its limit? From 1 on it is surely further "
                "than the least shift that matters.",
                _TOO_FEW,
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
                "Furthest of its limit",
                "How far is the furthest feature from its reference, of its limit? By what is asked (input) and what "
                "is answered (prediction), of a day and, for gross faults, of an hour. From 1 on it is surely further "
                "than the least shift that matters.",
                f"no figure is known in this range, up to some minutes ago: {_TOO_FEW}",
                "none",
                12,
                8,
                2,
            ),
            query(EXCESS, legend="{{side}}, {{window}}"),
            minutes=True,
            limit=1,
        ),
        joined(
            About(
                "Versions",
                "Which version answers, and is it the champion? The reference is of the version's test, or of the "
                "service's own days.",
                "no replica is scraped, and no champion is known.",
                "none",
                12,
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
                Column("Value #C", "Role", {**mapped({"1": ("champion", FINE)}), "custom.align": "left"}),
                Column("Value #A", "Replicas"),
                Column("Value #B", "Predictions of an hour", {"decimals": 0}),
                Column("origin", "Reference of"),
            ],
            falling=True,
        ),
        joined(
            About(
                "Features",
                "How far is each input and answer from its reference? Shift is about as PSI counts it; the floor is "
                "the least that matters. Of few predictions a limit is wide: under 1,000 of a day only gross shifts "
                "reach 1.",
                _NO_REFERENCE,
                "none",
                24,
                10,
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
                Column("name", "Feature", {"custom.minWidth": 180}),
                Column("Value #A", "Of its limit", _OVER),
                Column("Value #B", "In a day", _OVER),
                Column("Value #C", "In an hour", _OVER),
                Column("Value #D", "Shift, day", {"decimals": 3}),
                Column("Value #E", "Shift, hour", {"decimals": 3}),
                Column("Value #F", "Floor", {"decimals": 3}),
                Column("Value #G", "Predictions, day", {"decimals": 0}),
                Column("Value #H", "Predictions, hour", {"decimals": 0}),
            ],
            order="Of its limit",
            falling=True,
        ),
        lines(
            About("Traffic", "How many predictions a second does each version make?", _NO_REPLICA, "reqps", 12, 8),
            query(TRAFFIC, legend="{{version}}"),
            query(FAILED, "B", "failed"),
        ),
        lines(
            About(
                "Time of a request",
                "How long does a request take, at the median and for the slowest one in a hundred? The limit is that "
                "of ServiceSlow.",
                _NO_REQUEST,
                "s",
                12,
                8,
            ),
            *(query(expr, chr(ord("A") + number), name) for number, (name, expr) in enumerate(LATENCY.items())),
            query(LATENCY_LIMIT, "C", "limit"),
            dashed="/^limit$/",
        ),
        bars(
            About(
                "What is answered",
                "Which classes, or which scores, are answered in the last hour and day, beside the reference? A window "
                "of which nothing is known has no bar.",
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
                "How sure is the model of its answers in the last hour and day, beside the reference? By the highest "
                "probability.",
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
                    "How many answers of the last day are right, by the model's own confidence, without any label? "
                    "Dashed lines are the ends of its interval. Grey is not to be trusted: ServiceEstimateUntrusted "
                    "says why. No alert reads it.",
                    "no replica was scraped in this range, up to some minutes ago, or nobody asked; a regression has "
                    "no estimate, nor has a model whose reference has no labels.",
                    "percentunit",
                    12,
                    8,
                    1,
                ),
                query(ESTIMATES[0], legend="{{version}}"),
                query(LEAST, "B", "least, {{version}}"),
                query(MOST, "C", "most, {{version}}"),
                query(ESTIMATES[1], "D", "not to be trusted, {{version}}"),
                minutes=True,
                dashed="/^(least|most), /",
            ),
        ],
        "Each feature over time": [
            lines(
                About(
                    f"Of its limit, in {article} {window}",
                    "How far is each feature from its reference, of its limit?",
                    f"no figure is known in this range, up to some minutes ago: no replica was scraped, or fewer than "
                    f"{least} predictions of {article} {window} were counted.",
                    "none",
                    12,
                    9,
                    2,
                ),
                query(_history(window), legend="{{side}} {{feature}}"),
                minutes=True,
                limit=1,
            )
            for article, window, least in (("a", "day", 200), ("an", "hour", 100))
        ],
        "By labels": [
            lines(
                About(
                    "Realised in a week",
                    "How good are the predictions of the last 7 days, by their labels, beside the champion's test? "
                    "Between low and high lies the 95 % interval.",
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
                    "How good are the predictions of each day, by the labels that have come for them so far?",
                    _NO_LABELS,
                    "none",
                    12,
                    9,
                    3,
                ),
                "name",
                [query(_of_day(bound), ref, table=True) for ref, bound in zip("ABC", REALISED, strict=True)],
                [
                    Column("name", "Day and version"),
                    Column("Value #A", "Realised"),
                    Column("Value #B", "Low"),
                    Column("Value #C", "High"),
                ],
                falling=True,
            ),
            joined(
                About(
                    "What is logged",
                    "What has become of the predictions of the last 28 days, and how many have a label? Logged, "
                    "sampled out, dropped and lost are all that were served.",
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
        "Replicas one by one": [
            lines(
                About("Traffic of each", "How many predictions a second?", _NO_REPLICA, "reqps", 12, 8),
                query(REPLICA_TRAFFIC, legend="{{instance}}"),
            ),
            lines(
                About(
                    "Memory of each",
                    "How much of the memory that it may have does it use? The limit is that of ServiceMemoryHigh.",
                    "no replica that tells its memory is known in this range.",
                    "percentunit",
                    12,
                    8,
                    1,
                ),
                query(MEMORY, legend="{{instance}}"),
                query(MEMORY_LIMIT, "B", "limit"),
                dashed="/^limit$/",
            ),
        ],
    },
    since=board.DAY,
)
"""As JSON."""

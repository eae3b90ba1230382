"""Telemetry health: is the data of the other dashboards complete?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import prometheus

from grafana import board, words
from grafana.panels import ACT, LOOK, About, events, joined, lines, query, run_columns, tile, timeline
from grafana.panels import words as mapping
from grafana.queries import counted, rate, with_name, worst
from grafana.sources import SERVERS, sources
from grafana.transformations import Column

# Counting reads every sample of a day's runs, so rules do it, and panels read the results.
EXPECTED = "max by (run_id, model) (last_over_time(catwalk_run_points_expected[1d]))"
# Only runs whose points are due: they have a model to link to. Runs that are still sending are left out.
STORED = f"max by (run_id) (last_over_time(run:points_stored:count[1d])) and on (run_id) {EXPECTED}"
DROPPED = "max by (run_id) (last_over_time(catwalk_run_points_dropped[1d]))"
MISSING = "max by (run_id) (last_over_time(run:points_missing:count[1d]))"
MISSING_NOW = f"sum({MISSING})"
TARGETS_DOWN = "count(up == 0) or 0 * count(up)"
CANARY_LOST = (
    "clamp_min(sum(increase(catwalk_canary_sent_total[1h])) - sum(increase(catwalk_canary_received_total[1h])), 0)"
)
CANARY = (
    ("sent", rate("catwalk_canary_sent_total")),
    ("received", rate("catwalk_canary_received_total")),
)
STATSD = (
    ("packets", rate("statsd_exporter_udp_packets_total")),
    ("lines", rate("statsd_exporter_lines_total")),
    ("events", rate("statsd_exporter_events_total")),
)
STATSD_LOST = (
    ("dropped packets", counted("statsd_exporter_udp_packet_drops_total")),
    ("unmapped", counted("statsd_exporter_events_unmapped_total")),
    ("conflicts", counted("statsd_exporter_events_conflict_total")),
    ("errors", counted("statsd_exporter_events_error_total")),
)
SCRAPED = worst("min", "job:up:min1m", "job")
SCRAPE_SECONDS = worst("max", "job:scrape_duration_seconds:max1m", "job")
SAMPLES = worst("max", "job:sample_limit_used_ratio:max1m", "job")
SERIES = worst("max", "prometheus_tsdb_head_series")
NEW_SERIES = "sum(increase(prometheus_tsdb_head_series_created_total[$__rate_interval] offset -$__interval))"
RULE_SECONDS = f"sum({worst('max', 'prometheus_rule_group_last_duration_seconds', 'rule_group')})"
RULE_FAILURES = counted("prometheus_rule_evaluation_failures_total")
TO_ALERTMANAGER = (
    ("sent", counted("prometheus_notifications_sent_total")),
    ("failed", counted("prometheus_notifications_errors_total")),
    ("dropped", counted("prometheus_notifications_dropped_total")),
)
# The courier also gets the Watchdog three times a minute, but counts only alerts that aren't repeats as stored.
NOTIFICATIONS = (
    ("new, at the courier", counted("catwalk_courier_stored_total")),
    ("to other receivers", counted("alertmanager_notifications_total", 'receiver_name!="courier"')),
    ("failed attempts", counted("alertmanager_notification_requests_failed_total")),
)

_JOBS = (*SERVERS, "services")
_NO_RUNS = "no run of the last day with counted points is known."
_NO_MINUTE = "no value is known in this range, up to a minute ago."
_UNKNOWN = "no value is known in this range."


def _none(server: str) -> str:
    return f"none was counted in this range. Nothing is counted while {server} isn't scraped."


def _named(pairs: tuple[tuple[str, str], ...]) -> list[prometheus.Dataquery]:
    return [query(expr, chr(ord("A") + number), name) for number, (name, expr) in enumerate(pairs)]


DASHBOARD = board.board(
    "catwalk-telemetry",
    "Catwalk: telemetry health",
    "Is the data of the other dashboards complete, and does every part on its way work?",
    [board.place("exporter")],
    [board.firing("telemetry", every=True)],
    [
        sources(*SERVERS, width=6, height=12),
        tile(
            About(
                "Points missing",
                "How many points of the last day's runs are in their ledgers but not in Prometheus?",
                _NO_RUNS,
                "none",
                6,
                4,
                0,
            ),
            query(MISSING_NOW, now=True),
            alarming=LOOK,
        ),
        tile(
            About("Targets down", "How many servers can't be scraped?", "Prometheus scrapes nothing.", "none", 6, 4, 0),
            query(TARGETS_DOWN, now=True),
            alarming=ACT,
        ),
        tile(
            About(
                "Canary lines lost",
                "How many of the last hour's canary lines did StatsD not deliver? A few are in flight.",
                "not known: fewer than two scrapes in the last hour.",
                "none",
                6,
                4,
                0,
            ),
            query(CANARY_LOST, now=True),
        ),
        joined(
            About(
                "Points of the last day's runs",
                "Did every point of each run arrive? `catwalk replay` sends missing points again.",
                _NO_RUNS,
                "none",
                18,
                8,
                0,
            ),
            "run_id",
            [
                query(with_name(EXPECTED), "A", table=True),
                query(STORED, "B", table=True),
                query(MISSING, "C", table=True),
                query(DROPPED, "D", table=True),
            ],
            [
                *run_columns("__data.fields.Model"),
                Column("model", "Model"),
                Column("Value #A", "In the ledger"),
                Column("Value #B", "In Prometheus"),
                Column("Value #C", "Missing"),
                Column("Value #D", "Not sent"),
            ],
            falling=True,
        ),
        lines(
            About(
                "Canary",
                "Does StatsD deliver between runs too? The two lines should coincide.",
                _UNKNOWN,
                "suffix:lines/s",
                12,
                8,
            ),
            *_named(CANARY),
        ).axis_soft_min(0),
        lines(
            About("StatsD traffic", "How much arrives at statsd_exporter?", _UNKNOWN, "suffix:/s", 12, 8),
            *_named(STATSD),
        ).axis_soft_min(0),
        events(
            About(
                "StatsD losses",
                "Does statsd_exporter lose anything? Unmapped: no rule in the mapping. Conflicts: two types of metric "
                "with one name.",
                _none("statsd_exporter"),
                "none",
                12,
                8,
                0,
            ),
            *_named(STATSD_LOST),
        ),
        events(
            About(
                "Notifications",
                "Do alerts, firing or resolved, reach the courier, and do notifications go out to other receivers? The "
                "Watchdog counts once, when it begins to fire.",
                _none("the courier or Alertmanager"),
                "none",
                12,
                8,
                0,
            ),
            *_named(NOTIFICATIONS),
        ),
    ],
    {
        "Prometheus": [
            timeline(
                About(
                    "Targets",
                    "Was each server scraped all the time? Red: at least one scrape failed.",
                    "no server was scraped in this range, up to a minute ago.",
                    "none",
                    24,
                    8,
                ),
                query(SCRAPED, legend="{{job}}"),
                mappings=mapping(words.SCRAPED),
            ),
            lines(
                About(
                    "Scrape duration", "How long does each scrape take? The interval is 10 s.", _NO_MINUTE, "s", 12, 8
                ),
                query(SCRAPE_SECONDS, legend="{{job}}"),
                minutes=True,
                many=True,
                names=_JOBS,
            ),
            lines(
                About(
                    "Share of the sample limit",
                    "How close is a target to its sample limit? Above 100 %, Prometheus drops the whole scrape.",
                    _NO_MINUTE,
                    "percentunit",
                    12,
                    8,
                    1,
                ),
                query(SAMPLES, legend="{{job}}"),
                minutes=True,
                many=True,
                names=_JOBS,
            ),
            lines(
                About("Series", "How many series does Prometheus hold in memory?", _UNKNOWN, "none", 12, 8, 0),
                query(SERIES, legend="in memory"),
            ),
            lines(
                About(
                    "New series",
                    "How many series are new? Runs create some; everything else should create few.",
                    _UNKNOWN,
                    "none",
                    12,
                    8,
                    0,
                ),
                query(NEW_SERIES, legend="new"),
            ),
            lines(
                About("Rule evaluation", "How long does it take to evaluate all rules?", _UNKNOWN, "s", 12, 8),
                query(RULE_SECONDS, legend="all groups"),
            ),
            events(
                About("Failed rules", "Does the evaluation of rules fail?", _none("Prometheus"), "none", 12, 8, 0),
                query(RULE_FAILURES, legend="failures"),
            ),
            events(
                About(
                    "Alerts to Alertmanager",
                    "Does Alertmanager receive the alerts of Prometheus?",
                    _none("Prometheus"),
                    "none",
                    24,
                    8,
                    0,
                ),
                *_named(TO_ALERTMANAGER),
            ),
        ]
    },
    since=board.DAY,
)
"""The dashboard as JSON."""

"""Telemetry health: is what the other dashboards show whole?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import prometheus

from grafana import board
from grafana.panels import About, Column, events, joined, lines, query, run_links, tile
from grafana.queries import happened

# Counting reads every sample of a day's runs, so the rules do it, and panels read what they have recorded.
STORED = "max by (run_id) (last_over_time(run:points_stored:count[1d]))"
EXPECTED = "max by (run_id) (last_over_time(catwalk_run_points_expected[1d]))"
DROPPED = "max by (run_id) (last_over_time(catwalk_run_points_dropped[1d]))"
MISSING = "max by (run_id) (last_over_time(run:points_missing:count[1d]))"
MISSING_NOW = "sum(run:points_missing:count)"
TARGETS_DOWN = "count(up == 0) or 0 * count(up)"
CANARY_LOST = (
    "clamp_min(sum(increase(catwalk_canary_sent_total[1h])) - sum(increase(catwalk_canary_received_total[1h])), 0)"
)
CANARY = (
    ("sent", "sum(rate(catwalk_canary_sent_total[5m]))"),
    ("received", "sum(rate(catwalk_canary_received_total[5m]))"),
)
STATSD = (
    ("packets", "sum(rate(statsd_exporter_udp_packets_total[5m]))"),
    ("lines", "sum(rate(statsd_exporter_lines_total[5m]))"),
    ("events", "sum(rate(statsd_exporter_events_total[5m]))"),
)
STATSD_LOST = (
    ("dropped packets", happened("statsd_exporter_udp_packet_drops_total", always=True)),
    ("unmapped", happened("statsd_exporter_events_unmapped_total", always=True)),
    ("conflicts", happened("statsd_exporter_events_conflict_total")),
    ("errors", happened("statsd_exporter_events_error_total")),
)
SCRAPE_SECONDS = "max by (job) (scrape_duration_seconds)"
SAMPLES = "job:sample_limit_used_ratio:max"
SERIES = "max(prometheus_tsdb_head_series)"
NEW_SERIES = happened("prometheus_tsdb_head_series_created_total", always=True)
RULE_SECONDS = "sum(prometheus_rule_group_last_duration_seconds)"
RULE_FAILURES = happened("prometheus_rule_evaluation_failures_total", always=True)
TO_ALERTMANAGER = (
    ("sent", happened("prometheus_notifications_sent_total", always=True)),
    ("failed", happened("prometheus_notifications_errors_total", always=True)),
    ("dropped", happened("prometheus_notifications_dropped_total", always=True)),
)
# Alertmanager has a series for each of its many integrations; these are the ones that Catwalk can be told to use.
_USED = '{integration=~"webhook|email|slack|msteamsv2|discord|telegram|pagerduty|opsgenie"}'
TO_PEOPLE = (
    ("sent", happened(f"alertmanager_notifications_total{_USED}", always=True)),
    ("failed attempts", happened(f"alertmanager_notification_requests_failed_total{_USED}", always=True)),
)

_NO_RUNS = "no run ended between 2 minutes and a day ago."
_DOWN = "this server is not scraped."


def _named(pairs: tuple[tuple[str, str], ...]) -> list[prometheus.Dataquery]:
    return [query(expr, chr(ord("A") + number), name) for number, (name, expr) in enumerate(pairs)]


DASHBOARD = board.board(
    "catwalk-telemetry",
    "Catwalk: telemetry health",
    "Is what the other dashboards show whole, and does the path it travels on work?",
    [board.model(), board.place("registry")],
    [board.firing("telemetry")],
    [
        tile(
            About(
                "Points missing",
                "How many points of the last day's runs are in their ledgers but not in Prometheus?",
                _NO_RUNS,
                "none",
                8,
                4,
                0,
            ),
            query(MISSING_NOW, now=True),
        ),
        tile(
            About("Targets down", "How many servers can't be scraped?", "Prometheus scrapes nothing.", "none", 8, 4, 0),
            query(TARGETS_DOWN, now=True),
        ),
        tile(
            About(
                "Canary lines lost",
                "How many of the last hour's canary lines did not come through StatsD? A few are in flight.",
                "no canary runs.",
                "none",
                8,
                4,
                0,
            ),
            query(CANARY_LOST, now=True),
        ),
        joined(
            About(
                "Points of the last day's runs",
                "Did every point of each run arrive? What is missing can be sent again with `catwalk replay`.",
                _NO_RUNS,
                "none",
                24,
                8,
                0,
            ),
            "run_id",
            [
                query(EXPECTED, "A", table=True),
                query(STORED, "B", table=True),
                query(MISSING, "C", table=True),
                query(DROPPED, "D", table=True),
            ],
            [
                Column("run_id", "Run", run_links()),
                Column("Value #A", "In the ledger"),
                Column("Value #B", "In Prometheus"),
                Column("Value #C", "Missing"),
                Column("Value #D", "Not sent"),
            ],
            falling=True,
        ),
        lines(
            About("Canary", "Does StatsD deliver between runs too? Both lines lie on each other.", _DOWN, "cps", 12, 8),
            *_named(CANARY),
        ),
        lines(
            About("StatsD traffic", "How much arrives at statsd_exporter?", _DOWN, "cps", 12, 8),
            *_named(STATSD),
        ),
        lines(
            About(
                "StatsD losses",
                "Does statsd_exporter lose something? Unmapped: no rule in the mapping. Conflicts: two kinds of metric "
                "under one name.",
                _DOWN,
                "none",
                12,
                8,
                0,
            ),
            *_named(STATSD_LOST),
        ),
        events(
            About("Notifications", "Do alerts reach people?", "nothing was sent in this range.", "none", 12, 8, 0),
            *_named(TO_PEOPLE),
        ),
    ],
    {
        "Prometheus": [
            lines(
                About("Scrape duration", "How long does each scrape take? The interval is 10 s.", _DOWN, "s", 12, 8),
                query(SCRAPE_SECONDS, legend="{{job}}"),
            ),
            lines(
                About(
                    "Samples of the limit",
                    "How near does a target come to its sample limit? At 100 % its whole scrape is dropped.",
                    _DOWN,
                    "percentunit",
                    12,
                    8,
                    1,
                ),
                query(SAMPLES, legend="{{job}}"),
            ),
            lines(
                About("Series", "How many series does Prometheus hold in memory?", _DOWN, "none", 12, 8, 0),
                query(SERIES, legend="in memory"),
            ),
            lines(
                About(
                    "New series",
                    "How many series are born? Runs bring some, all else should bring few.",
                    _DOWN,
                    "none",
                    12,
                    8,
                    0,
                ),
                query(NEW_SERIES, legend="new"),
            ),
            lines(
                About("Rule evaluation", "How long does evaluating all rules take?", "there are no rules.", "s", 12, 8),
                query(RULE_SECONDS, legend="all groups"),
            ),
            lines(
                About("Failed rules", "Do evaluations of rules fail?", "there are no rules.", "none", 12, 8, 0),
                query(RULE_FAILURES, legend="failures"),
            ),
            events(
                About(
                    "Alerts to Alertmanager", "Does Alertmanager get what Prometheus finds?", _DOWN, "none", 24, 8, 0
                ),
                *_named(TO_ALERTMANAGER),
            ),
        ]
    },
    since=board.WEEK,
)
"""As JSON."""

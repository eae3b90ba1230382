"""Scenarios for the rules on the path that figures travel on."""

from __future__ import annotations

from tests.prometheus.scenario import RUN, Alert, Scenario, a_run, constant, fires, has, scenario, series, silent

WARNING = {"severity": "warning", "area": "telemetry"}
CRITICAL = {"severity": "critical", "area": "telemetry"}
OF_RUN = {"run_id": RUN, "model": "mlp"}
PAGE = "catwalk-telemetry"
LABELS = f'{{model="mlp", run_id="{RUN}"}}'
EXPECTED = series("catwalk_run_points_expected", **OF_RUN)


def up(job: str, number: int = 1) -> str:
    """Whether a target answers."""
    return f'up{{job="{job}", instance="{job}:{number}"}}'


def of_job(name: str, job: str, **labels: str) -> str:
    """A series that a server exports of itself."""
    inner = ",".join(f'{label}="{value}"' for label, value in {"job": job, "instance": f"{job}:1", **labels}.items())
    return f"{name}{{{inner}}}"


def incomplete(points: int) -> Alert:
    """A run whose curves have gaps."""
    return Alert(
        {**WARNING, **OF_RUN, "rests_on": "missing_series"},
        f"mlp: {points} points of a run are missing",
        f"Prometheus lacks {points} points that the ledger of run {RUN} of mlp holds: its curves have gaps. "
        f"http://registry/runs/{RUN}",
        PAGE,
    )


# Seven series that differ in one label each, or in the name alone. statsd_exporter has forgotten them after 20 minutes
# and shows them once more when they are sent again, with the eighth.
STORED = {
    series("ml_epoch_loss", **OF_RUN, split="train", epoch="1"): "1x120 _x79 1x120",
    series("ml_epoch_loss", **OF_RUN, split="validation", epoch="1"): "1x120 _x79 1x120",
    series("ml_epoch_loss", **OF_RUN, split="train", epoch="2"): "1x120 _x79 1x120",
    series("ml_epoch_index", **OF_RUN, epoch="1"): "1x120 _x79 1x120",
    series("ml_epoch_gradient_norm", **OF_RUN, epoch="1"): "1x120 _x79 1x120",
    series("ml_test_confusion_examples", **OF_RUN, true_class="bag", predicted_class="coat"): "1x120 _x79 1x120",
    series("ml_test_confusion_examples", **OF_RUN, true_class="coat", predicted_class="bag"): "1x120 _x79 1x120",
}
POINTS: list[Scenario] = [
    scenario(
        "one point of eight is missing, until a replay brings it",
        {
            **a_run(),
            **STORED,
            EXPECTED: "_x30 8x500",
            series("ml_test_loss", **OF_RUN): "_x200 1x120",
            series("ml_store_errors_total", operation="get"): constant(1),
        },
        silent("TelemetryIncomplete", "5m50s"),
        fires("TelemetryIncomplete", "6m", incomplete(1)),
        fires("TelemetryIncomplete", "33m10s", incomplete(1)),
        silent("TelemetryIncomplete", "33m20s"),
        silent("TelemetryIncomplete", "1h"),
        has("run:points_stored:count", "10m", {LABELS: 7}),
        has("run:points_missing:count", "10m", {LABELS: 1}),
        has("run:points_exposed:count", "10m", {LABELS: 7}),
        has("run:points_exposed:count", "30m", {}),
        has("run:points_stored:count", "30m", {LABELS: 7}),
        has("run:points_exposed:count", "40m", {LABELS: 8}),
        has("run:points_stored:count", "40m", {LABELS: 8}),
        has("run:points_missing:count", "1h", {LABELS: 0}),
    ),
    scenario(
        "what is shown at once counts, and counts on while the exporter shows less",
        {
            **a_run(),
            **dict.fromkeys(STORED, "1x60"),
            series("ml_test_loss", **OF_RUN): "1x60 _x60 1x500",
            EXPECTED: "_x30 8x500",
        },
        silent("TelemetryIncomplete", "30m"),
        has("run:points_exposed:count", "25m", {LABELS: 1}),
        has("run:points_stored:count", "25m", {LABELS: 8}),
        has("run:points_stored:count", "1h", {LABELS: 8}),
    ),
    scenario(
        "the count ends when nobody says any more how many there should be",
        {**a_run(), **dict.fromkeys(STORED, "1x60"), EXPECTED: "7x90"},
        has("run:points_stored:count", "19m", {LABELS: 7}),
        has("run:points_stored:count", "21m", {}),
    ),
    scenario(
        "nothing at all has arrived",
        {**a_run(), EXPECTED: constant(8)},
        fires("TelemetryIncomplete", "1m", incomplete(8)),
    ),
    scenario(
        "a run on the command line, without telemetry",
        {**a_run(trigger="cli"), EXPECTED: constant(8)},
        silent("TelemetryIncomplete", "5m"),
        has("run:points_missing:count", "1m", {LABELS: 8}),
    ),
]

EXPORTER_DOWN = Alert(
    {**CRITICAL, "job": "statsd_exporter"},
    "statsd_exporter is down: curves and Airflow's metrics are lost",
    "Prometheus has not reached statsd_exporter for half a minute; what runs and Airflow send is lost.",
    PAGE,
)
PACKETS = series("statsd_exporter_udp_packets_total")
SENT, RECEIVED = series("catwalk_canary_sent_total"), series("catwalk_canary_received_total")
SILENT = Alert(
    {**CRITICAL, "job": "statsd_exporter"},
    "statsd_exporter is up, but no packet reaches it",
    "The registry's canary sends a line a second, and for two minutes not one packet has reached statsd_exporter "
    "by UDP.",
    PAGE,
)
UNMAPPED = series("statsd_exporter_events_unmapped_total")
CONFLICTS = series("statsd_exporter_events_conflict_total", type="gauge")
RELOADS = series("statsd_exporter_config_reloads_total", outcome="failure")
CLASH = Alert(
    WARNING,
    "StatsD lines are dropped: their type clashes",
    "statsd_exporter drops lines whose name is known with another type or other labels (1 in a quarter of an hour).",
    PAGE,
)
REFUSED = Alert(
    WARNING,
    "statsd_exporter refused its new mapping",
    "statsd_exporter could not load the changed mapping and goes on with the old one.",
    PAGE,
)


def born_at_one(alert: str, counter: str, firing: Alert) -> list[Scenario]:
    """A counter whose first event `increase()` does not see."""
    exporter = up("statsd_exporter")
    return [
        scenario(
            f"{alert}: the first event",
            {exporter: constant(1), counter: "_x120 1x500"},
            silent(alert, "19m50s"),
            fires(alert, "20m", firing),
            silent(alert, "40m"),
        ),
        scenario(
            f"{alert}: an event after the first, in one of two series",
            {exporter: constant(1), counter: "1x149 2x500", counter.replace(":1", ":2"): constant(7)},
            silent(alert, "24m50s"),
            fires(alert, "25m20s", firing),
        ),
        scenario(
            f"{alert}: Prometheus was away when it happened",
            {exporter: "_x120 1x500", counter: "_x120 1x500"},
            silent(alert, "20m"),
            silent(alert, "36m"),
        ),
    ]


STATSD: list[Scenario] = [
    scenario(
        "one of two exporters is away for just under half a minute, then for longer",
        {up("statsd_exporter"): "1x5 0x2 1x5 0x100", up("statsd_exporter", 2): constant(1)},
        silent("StatsdExporterDown", "2m50s"),
        fires("StatsdExporterDown", "3m", EXPORTER_DOWN),
    ),
    scenario(
        "no exporter is scraped",
        {up("registry"): constant(1)},
        silent("StatsdExporterDown", "20s"),
        fires("StatsdExporterDown", "30s", EXPORTER_DOWN),
    ),
    scenario(
        "packets stop while the canary sends",
        {PACKETS: "0+10x30 300x100", SENT: "0+10x200"},
        silent("StatsdSilent", "6m40s"),
        fires("StatsdSilent", "7m", SILENT),
    ),
    scenario(
        "nobody sends",
        {PACKETS: constant(300), SENT: constant(100)},
        silent("StatsdSilent", "10m"),
    ),
    scenario(
        "just over 2 % of the canary's lines are lost",
        {SENT: "0+1000x500", RECEIVED: "0+979x500", up("statsd_exporter"): constant(1)},
        silent("StatsdPacketsDropped", "5m"),
        fires(
            "StatsdPacketsDropped",
            "5m10s",
            Alert(
                WARNING,
                "2.1% of StatsD packets are lost",
                "Of the canary's lines in the last quarter of an hour, 2.1% did not reach statsd_exporter; curves lose "
                "points at about that rate until publish sends them again.",
                PAGE,
            ),
        ),
        has("canary:loss_ratio:increase15m", "30m", {"{}": 0.021}),
    ),
    scenario(
        "just under 2 % are lost, and for a while more arrive than were sent",
        {SENT: "0+1000x500", RECEIVED: "0+981x300 294300+1100x200", up("statsd_exporter"): constant(1)},
        silent("StatsdPacketsDropped", "45m"),
        has("canary:loss_ratio:increase15m", "80m", {"{}": 0}),
    ),
    scenario(
        "lines are lost because the exporter was down",
        {SENT: "0+10x500", RECEIVED: "0+10x150 _x10 0+10x350", up("statsd_exporter"): "1x150 0x10 1x350"},
        silent("StatsdPacketsDropped", "35m"),
    ),
    scenario(
        "lines that no rule matches arrive in one burst",
        {UNMAPPED: "0x60 3x500"},
        silent("StatsdUnmappedEvents", "10m"),
        fires(
            "StatsdUnmappedEvents",
            "15m",
            Alert(
                WARNING,
                "StatsD lines arrive that the mapping does not know",
                "About 3 lines in a quarter of an hour had names that no rule of the mapping matches.",
                PAGE,
            ),
        ),
        silent("StatsdUnmappedEvents", "30m"),
    ),
    *born_at_one("StatsdConflicts", CONFLICTS, CLASH),
    *born_at_one("StatsdReloadFailed", RELOADS, REFUSED),
    scenario(
        "a reload goes well",
        {up("statsd_exporter"): constant(1), RELOADS.replace("failure", "success"): "_x120 1x500"},
        silent("StatsdReloadFailed", "20m"),
    ),
]  # fmt: skip


def samples(job: str, number: int = 1, limit: int = 50_000) -> dict[str, str]:
    """How many samples a scrape has, and may have."""
    return {
        of_job("scrape_samples_post_metric_relabeling", job): constant(number),
        of_job("scrape_sample_limit", job): constant(limit),
    }


def target_down(job: str) -> Alert:
    """A job that has no alert of its own."""
    return Alert({**CRITICAL, "job": job}, f"{job} is down", f"Prometheus has not reached {job} for a minute.", PAGE)


REGISTRY_DOWN = Alert(
    {**CRITICAL, "job": "registry"},
    "Catwalk's registry is down",
    "Prometheus has not reached the registry for a minute: run states, decisions and the champion are unknown, and "
    "alerts on them are blind.",
    PAGE,
)
COURIER_DOWN = Alert(
    {**CRITICAL, "job": "courier"},
    "Catwalk's courier is down",
    "Prometheus has not reached the courier for a minute: notifications are not kept, and nobody watches for "
    "Prometheus' own death.",
    PAGE,
)


def full(severity: dict[str, str], left: str, volume: str = "store") -> Alert:
    """A disk with so little left."""
    return Alert(
        {**severity, "volume": volume},
        f"Only {left} are left for {volume}",
        f"The file system that holds {volume} has {left} left.",
        PAGE,
    )


GIBIBYTE = 2**30
JOBS = ("alertmanager", "prometheus", "statsd_exporter", "registry", "courier")
ALL_UP = {up(job): constant(1) for job in JOBS}
STACK: list[Scenario] = [
    scenario(
        "one scrape is just over 60 % of its limit, another just under, a third has none",
        {**samples("registry", 30_100), **samples("statsd_exporter", 29_900), **samples("prometheus", 9, limit=0)},
        silent("CardinalityNearLimit", "4m50s"),
        fires(
            "CardinalityNearLimit",
            "5m",
            Alert(
                {**WARNING, "job": "registry"},
                "registry: 60.2% of the sample limit",
                "A scrape of registry has 60.2% of the samples that Prometheus accepts; beyond the limit the whole "
                "target is dropped.",
                PAGE,
            ),
        ),
        has(
            "job:sample_limit_used_ratio:max", "1m", {'{job="registry"}': 0.602, '{job="statsd_exporter"}': 0.598}
        ),
    ),
    scenario(
        "one of two targets of a job is down",
        {**ALL_UP, up("alertmanager"): "1x5 0x100", up("alertmanager", 2): constant(1)},
        silent("TargetDown", "1m50s"),
        fires("TargetDown", "2m", target_down("alertmanager")),
        has(
            "job:up:min",
            "2m",
            {'{job="alertmanager"}': 0, **{f'{{job="{job}"}}': 1 for job in JOBS if job != "alertmanager"}},
        ),
    ),
    scenario(
        "nothing is scraped",
        {},
        silent("TargetDown", "50s"),
        silent("CatwalkServiceDown", "50s"),
        fires("TargetDown", "1m", target_down("alertmanager"), target_down("prometheus")),
        fires("CatwalkServiceDown", "1m", REGISTRY_DOWN, COURIER_DOWN),
    ),
    scenario(
        "jobs that have alerts of their own are down",
        {**ALL_UP, **{up(job): "1x5 0x100" for job in ("statsd_exporter", "registry", "courier")}},
        silent("TargetDown", "10m"),
        silent("CatwalkServiceDown", "1m50s"),
        fires("CatwalkServiceDown", "2m", REGISTRY_DOWN, COURIER_DOWN),
    ),
    scenario(
        "every target is up",
        ALL_UP,
        silent("TargetDown", "10m"),
        silent("CatwalkServiceDown", "10m"),
        silent("StatsdExporterDown", "10m"),
    ),
    scenario(
        "a rule fails to evaluate",
        {
            of_job("prometheus_rule_evaluation_failures_total", "prometheus", rule_group="a"): "0x5 1x200",
            of_job("prometheus_rule_evaluation_failures_total", "prometheus", rule_group="b"): constant(4),
        },
        silent("RuleEvaluationFailing", "50s"),
        fires(
            "RuleEvaluationFailing",
            "1m",
            Alert(
                {**CRITICAL, "rule_group": "a"},
                "Prometheus can't evaluate rules: alerts are blind",
                "Rules of a fail to evaluate; alerts that stand on them are blind.",
                PAGE,
            ),
        ),
        silent("RuleEvaluationFailing", "7m"),
    ),
    scenario(
        "notifications fail on both legs",
        {
            of_job("prometheus_notifications_errors_total", "prometheus", alertmanager="am"): "0x5 1+1x200",
            of_job("alertmanager_notifications_failed_total", "alertmanager", integration="email"): "0x5 1+1x200",
            of_job("alertmanager_notifications_failed_total", "alertmanager", integration="slack"): constant(3),
        },
        silent("NotificationsFailing", "5m50s"),
        fires(
            "NotificationsFailing",
            "6m",
            Alert(
                {**CRITICAL, "job": "prometheus"},
                "Notifications fail in prometheus",
                "prometheus has failed again and again for five minutes to pass alerts on.",
                PAGE,
            ),
            Alert(
                {**CRITICAL, "job": "alertmanager", "integration": "email"},
                "Notifications fail in alertmanager (email)",
                "alertmanager has failed again and again for five minutes to pass alerts on by email.",
                PAGE,
            ),
        ),
    ),
    scenario(
        "one notification fails",
        {of_job("prometheus_notifications_errors_total", "prometheus", alertmanager="am"): "0x5 1x200"},
        silent("NotificationsFailing", "5m50s"),
        silent("NotificationsFailing", "6m"),
    ),
    scenario(
        "both refuse a new configuration, one of two Alertmanagers takes it",
        {
            of_job("prometheus_config_last_reload_successful", "prometheus"): "1x5 0x100",
            of_job("alertmanager_config_last_reload_successful", "alertmanager"): "1x5 0x100",
            of_job("alertmanager_config_last_reload_successful", "alertmanager").replace(":1", ":2"): constant(1),
        },
        silent("ConfigReloadFailed", "1m50s"),
        fires(
            "ConfigReloadFailed",
            "2m",
            *(
                Alert(
                    {**WARNING, "job": job},
                    f"{job} refused its new configuration",
                    f"{job} could not load its changed configuration and goes on with the old one.",
                    PAGE,
                )
                for job in ("prometheus", "alertmanager")
            ),
        ),
    ),
    scenario(
        "a disk has just less than 5 GiB left, then just less than 1; another has just enough",
        {
            series("catwalk_disk_free_bytes", volume="store"): f"{4.9 * GIBIBYTE}x60 {0.95 * GIBIBYTE}x60",
            series("catwalk_disk_free_bytes", volume="prometheus"): constant(5.1 * GIBIBYTE),
        },
        silent("DiskNearlyFull", "50s"),
        fires("DiskNearlyFull", "1m", full(WARNING, "4.9GiB")),
        fires("DiskNearlyFull", "11m", full(WARNING, "972.8MiB")),
        fires("DiskNearlyFull", "11m10s", full(WARNING, "972.8MiB"), full(CRITICAL, "972.8MiB")),
    ),
    scenario(
        "the same volume by two registries, one of which has room; just over 1 GiB elsewhere is not critical",
        {
            series("catwalk_disk_free_bytes", volume="store"): constant(0.5 * GIBIBYTE),
            series("catwalk_disk_free_bytes", volume="store").replace(":1", ":2"): constant(50 * GIBIBYTE),
            series("catwalk_disk_free_bytes", volume="prometheus"): constant(1.05 * GIBIBYTE),
        },
        fires(
            "DiskNearlyFull",
            "5m",
            full(WARNING, "512MiB"),
            full(CRITICAL, "512MiB"),
            full(WARNING, "1.05GiB", "prometheus"),
        ),
    ),
    scenario(
        "always",
        {},
        fires(
            "Watchdog",
            "0s",
            Alert(
                {"severity": "none", "area": "telemetry"},
                "The road from Prometheus to you works",
                "Sent for ever; the courier calls out when it stops.",
                PAGE,
            ),
        ),
    ),
]  # fmt: skip

SCENARIOS = POINTS + STATSD + STACK

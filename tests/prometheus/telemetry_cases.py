"""Scenarios for the rules on the path that figures travel on."""

from __future__ import annotations

from collections.abc import Callable

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
        {**WARNING, **OF_RUN},
        f"mlp: {points} points of a run are missing",
        f"Prometheus lacks {points} points that the ledger of run {RUN} of mlp holds: its curves have gaps. "
        f"http://exporter/runs/{RUN}",
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
        "metrics that differ in their names alone, or in a slice's, are points of their own",
        {
            **a_run(),
            **{
                series("ml_epoch_metric", **OF_RUN, split="train", epoch="1", metric=name): constant(1)
                for name in ("mae", "r2")
            },
            series("ml_test_metric", **OF_RUN, metric="mae"): constant(1),
            series("ml_test_metric", **OF_RUN, metric="mae", slice="country", slice_value="PT"): constant(1),
            series("ml_test_metric", **OF_RUN, metric="mae", slice="country", slice_value="DE"): constant(1),
            series("ml_test_metric", **OF_RUN, metric="mae", slice="state", slice_value="DE"): constant(1),
            EXPECTED: constant(6),
        },
        has("run:points_exposed:count", "1m", {LABELS: 6}),
        silent("TelemetryIncomplete", "5m"),
    ),
    scenario(
        "what is shown at once counts, and counts on while statsd_exporter shows less",
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
        "the count ends when the expected number is no longer shown",
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

STATSD_EXPORTER_DOWN = Alert(
    {**CRITICAL, "job": "statsd_exporter"},
    "statsd_exporter is down: curves and Airflow's metrics are lost",
    "Prometheus has had no metrics from statsd_exporter for half a minute: it doesn't answer, or too late, or with "
    "an error. What runs and Airflow send may be lost.",
    PAGE,
)
PACKETS = series("statsd_exporter_udp_packets_total")
SENT, RECEIVED = series("catwalk_canary_sent_total"), series("catwalk_canary_received_total")
SILENT = Alert(
    {**CRITICAL, "job": "statsd_exporter"},
    "statsd_exporter is up, but no packet reaches it",
    "The exporter's canary sends a line a second, and for two minutes not one packet has reached statsd_exporter "
    "by UDP.",
    PAGE,
)
UNMAPPED = series("statsd_exporter_events_unmapped_total")
CONFLICTS = series("statsd_exporter_events_conflict_total", type="gauge", metric_name="clash")
RELOADS = series("statsd_exporter_config_reloads_total", outcome="failure")
BEGAN = series("process_start_time_seconds").replace("exporter", "statsd_exporter")
LIVES = {up("statsd_exporter"): constant(1), BEGAN: constant(-90_000)}
"""A statsd_exporter that began more than a day ago, and is reached all the time."""
OF_STATSD_EXPORTER = 'instance="statsd_exporter:1", job="statsd_exporter"'
OLD_COUNT = f'exporter:events:count{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}'


def clash(lines: int) -> Alert:
    """Lines of one name that has two types."""
    return Alert(
        {**WARNING, "metric_name": "clash"},
        "StatsD lines for clash are dropped: their type clashes",
        f"statsd_exporter has dropped {lines} line(s) in a quarter of an hour: it knows clash with another type or "
        "other labels.",
        PAGE,
    )


def unmapped(lines: int) -> Alert:
    """Lines that no rule matches."""
    return Alert(
        WARNING,
        "StatsD lines arrive that the mapping does not know",
        f"{lines} line(s) in a quarter of an hour had names that no rule of the mapping matches.",
        PAGE,
    )


def lost(counter: str, lines: int, reason: str = "") -> Alert:
    """Lines that could not be read."""
    of = f"{counter}: {reason}" if reason else counter
    more = f"{counter} ({reason})" if reason else counter
    return Alert(
        {**WARNING, "counter": counter, **({"reason": reason} if reason else {})},
        f"statsd_exporter can't read what it is sent ({of})",
        f"statsd_exporter has counted {lines} more {more} in a quarter of an hour. The values of these lines are "
        "lost, or have the wrong labels.",
        PAGE,
    )


REFUSED = Alert(
    WARNING,
    "statsd_exporter refused its new mapping",
    "statsd_exporter could not load the changed mapping and keeps using the old one.",
    PAGE,
)


def events(alert: str, counter: str, firing: Callable[[int], Alert]) -> list[Scenario]:
    """A counter that is born at 1, and begins again with the process."""
    return [
        scenario(
            f"{alert}: the first event, with a scrape lost before and after",
            {
                up("statsd_exporter"): "1x30 0 1x100 0 1x500",
                BEGAN: "-90000x30 stale -90000x100 stale -90000x500",
                counter: "_x120 1x12 stale 1x500",
            },
            silent(alert, "19m50s"),
            fires(alert, "20m", firing(1)),
            fires(alert, "22m", firing(1)),
            fires(alert, "34m50s", firing(1)),
            silent(alert, "35m10s"),
            silent(alert, "50m"),
        ),
        scenario(
            f"{alert}: an event after the first, in one of two series",
            {**LIVES, counter: "1x149 2x500", counter.replace("er:1", "er:2"): "_x1000"},
            silent(alert, "24m50s"),
            fires(alert, "25m20s", firing(1)),
            silent(alert, "41m"),
        ),
        scenario(
            f"{alert}: an event while Prometheus was away is reported late; what it knew before is not reported again",
            {
                up("statsd_exporter"): "1x100 _x200 1x500",
                BEGAN: "-90000x100 _x200 -90000x500",
                counter: "4x100 _x200 6x500",
                counter.replace('clash"', 'other"'): "4x100 _x200 4x500",
            }
            if "clash" in counter
            else {
                up("statsd_exporter"): "1x100 _x200 1x500",
                BEGAN: "-90000x100 _x200 -90000x500",
                counter: "4x100 _x200 6x500",
            },
            silent(alert, "16m50s"),
            fires(alert, "50m30s", firing(2)),
            fires(alert, "1h", firing(2)),
            silent(alert, "1h6m"),
        ),
        scenario(
            f"{alert}: statsd_exporter is started again, and as many events happen in its new life; then it is away",
            {
                up("statsd_exporter"): "1x300 0x2 1x500 0x200",
                BEGAN: "-90000x300 stale _x2 3020x499 stale",
                counter: "1x300 stale _x60 1x440 stale",
            },
            silent(alert, "50m"),
            silent(alert, "50m40s"),
            fires(alert, "1h30s", firing(1)),
            silent(alert, "1h18m"),
            silent(alert, "2h20m"),
            silent(alert, "2h45m"),
        ),
    ]


STATSD: list[Scenario] = [
    scenario(
        "one of two statsd_exporters is away for just under half a minute, then for longer",
        {up("statsd_exporter"): "1x5 0x2 1x5 0x100", up("statsd_exporter", 2): constant(1)},
        silent("StatsdExporterDown", "2m50s"),
        fires("StatsdExporterDown", "3m", STATSD_EXPORTER_DOWN),
    ),
    scenario(
        "no statsd_exporter is scraped",
        {up("exporter"): constant(1)},
        silent("StatsdExporterDown", "20s"),
        fires("StatsdExporterDown", "30s", STATSD_EXPORTER_DOWN),
    ),
    scenario(
        "packets stop while the canary sends",
        {PACKETS: "0+10x30 300x100", SENT: "0+10x200"},
        silent("StatsdSilent", "6m"),
        fires("StatsdSilent", "7m", SILENT),
    ),
    scenario(
        "no one sends",
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
                "2.1% of the canary's lines in the last quarter of an hour did not reach statsd_exporter; curves lose "
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
        "lines are lost because statsd_exporter was down",
        {SENT: "0+10x500", RECEIVED: "0+10x150 stale _x9 0+10x350", up("statsd_exporter"): "1x150 0x9 1x350"},
        *(silent("StatsdPacketsDropped", f"{minute}m") for minute in range(20, 60, 3)),
    ),
    scenario(
        "a tenth of the lines is lost, and one scrape in thirty",
        {
            SENT: "0+10x500",
            RECEIVED: " ".join(f"{9 * 30 * each}+9x28 stale" for each in range(16)),
            up("statsd_exporter"): " ".join(["1x28 0"] * 16),
        },
        fires(
            "StatsdPacketsDropped",
            "30m",
            Alert(
                WARNING,
                "10% of StatsD packets are lost",
                "10% of the canary's lines in the last quarter of an hour did not reach statsd_exporter; curves lose "
                "points at about that rate until publish sends them again.",
                PAGE,
            ),
        ),
    ),
    scenario(
        "lines that no rule matches arrive in one burst",
        {**LIVES, UNMAPPED: "0x60 3x500"},
        silent("StatsdUnmappedEvents", "10m"),
        fires("StatsdUnmappedEvents", "10m10s", unmapped(3)),
        fires("StatsdUnmappedEvents", "25m", unmapped(3)),
        silent("StatsdUnmappedEvents", "26m"),
        has("statsd_exporter:events:count", "10m", {f'{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}': 0}),
        has("statsd_exporter:events:new15m", "15m", {f'{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}': 3}),
    ),
    scenario(
        "statsd_exporter is started again so fast that no scrape is lost, and counts as much as before",
        {
            up("statsd_exporter"): constant(1), BEGAN: "-90000x300 3001x500",
            UNMAPPED: "1x300 0x60 1x400",
        },
        has("statsd_exporter:events:new15m", "1h", {}),
        has("statsd_exporter:events:new15m", "1h1m", {f'{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}': 1}),
        has("statsd_exporter:events:new15m", "1h12m", {f'{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}': 1}),
        has("statsd_exporter:events:new15m", "1h20m", {}),
    ),
    scenario(
        "an upgrade, before which these series had other names: nothing is new but what comes after it",
        {**LIVES, OLD_COUNT: "3x300", UNMAPPED: "_x300 3x30 5x500"},
        silent("StatsdUnmappedEvents", "50m10s"),
        silent("StatsdUnmappedEvents", "54m50s"),
        fires("StatsdUnmappedEvents", "55m10s", unmapped(2)),
        fires("StatsdUnmappedEvents", "1h9m", unmapped(2)),
        silent("StatsdUnmappedEvents", "1h11m"),
        has("statsd_exporter:events:new15m", "52m", {}),
    ),
    scenario(
        "an upgrade while statsd_exporter is away",
        {up("statsd_exporter"): "1x30 0x100", OLD_COUNT: "3x40"},
        has("statsd_exporter:events:count", "20m", {f'{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}': 3}),
    ),
    scenario(
        "the same with a counter that is born at 1",
        {up("statsd_exporter"): constant(1), BEGAN: "-90000x300 3001x500", CONFLICTS: "1x300 stale _x59 1x400"},
        has(
            "statsd_exporter:events:new15m", "1h10m",
            {f'{{counter="events_conflict", {OF_STATSD_EXPORTER}, metric_name="clash", type="gauge"}}': 1},
        ),
    ),
    scenario(
        "what was counted is known while statsd_exporter is not reached",
        {up("statsd_exporter"): "1x30 0x30 1x100", UNMAPPED: "3x30 stale _x30 4x30 stale"},
        has("statsd_exporter:events:count", "8m", {f'{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}': 3}),
        has("statsd_exporter:events:count", "12m", {f'{{counter="events_unmapped", {OF_STATSD_EXPORTER}}}': 4}),
        has("statsd_exporter:events:count", "17m", {}),
    ),
    *events("StatsdConflicts", CONFLICTS, clash),
    *events("StatsdReloadFailed", RELOADS, lambda lines: REFUSED),
    *events("StatsdUnmappedEvents", UNMAPPED, unmapped),
    *(
        scenario(
            f"statsd_exporter counts {counter}",
            {**LIVES, series(f"statsd_exporter_{counter}_total", **why): "_x60 7x500"},
            silent("StatsdLinesLost", "9m50s"),
            fires("StatsdLinesLost", "10m", lost(counter, 7, **why)),
            silent("StatsdLinesLost", "30m"),
        )
        for counter, why in (
            ("sample_errors", {"reason": "malformed_value"}), ("events_error", {"reason": "illegal_negative_counter"}),
            ("tag_errors", {}),
            ("tcp_too_long_lines", {}), ("tcp_connection_errors", {}), ("udp_packet_drops", {}),
        )
    ),
    scenario(
        "what has an alert of its own is no lost line",
        {**LIVES, UNMAPPED: "0x60 3x500", CONFLICTS: "0x60 3x500", RELOADS: "0x60 3x500"},
        silent("StatsdLinesLost", "15m"),
    ),
    scenario(
        "a reload goes well",
        {**LIVES, RELOADS.replace("failure", "success"): "_x120 1x500"},
        silent("StatsdReloadFailed", "20m"),
    ),
]  # fmt: skip


def samples(job: str, number: int = 1, limit: int = 50_000) -> dict[str, str]:
    """How many samples a scrape has, and may have."""
    return {
        of_job("scrape_samples_scraped", job): constant(number),
        of_job("scrape_sample_limit", job): constant(limit),
    }


def points(run_id: str, count: int, values: str) -> dict[str, str]:
    """`count` points of a run."""
    return {series("ml_epoch_index", run_id=run_id, model="mlp", epoch=str(each)): values for each in range(count)}


USERS = " The most are 3 points of mlp (manual__1), 1 points of mlp."


def near(share: str) -> Alert:
    """statsd_exporter has so much of its limit."""
    return Alert(
        {**WARNING, "job": "statsd_exporter"},
        f"statsd_exporter: {share} of the sample limit",
        f"A scrape of statsd_exporter has {share} of the samples that Prometheus accepts; beyond the limit the whole "
        f"target is dropped.{USERS}",
        PAGE,
    )


def beyond(number: int) -> Alert:
    """statsd_exporter has more than its limit."""
    return Alert(
        {**CRITICAL, "job": "statsd_exporter"},
        "statsd_exporter: dropped, because it exceeds its sample limit",
        f"statsd_exporter is up and answers with {number} samples, more than its sample_limit, so Prometheus drops "
        f"all of them: alerts on them can't fire.{USERS}",
        PAGE,
    )


def target_down(job: str) -> Alert:
    """A job that has no alert of its own."""
    return Alert({**CRITICAL, "job": job}, f"{job} is down", f"Prometheus has not reached {job} for a minute.", PAGE)


def restarts(job: str, times: int) -> Alert:
    """A target that ends and is started again."""
    return Alert(
        {**CRITICAL, "job": job, "source": "restarts"},
        f"{job} keeps restarting",
        f"{job} has started {times} times in a quarter of an hour. It answers in between, and loses what it had in "
        "memory each time.",
        PAGE,
    )


EXPORTER_DOWN = Alert(
    {**CRITICAL, "job": "exporter"},
    "Catwalk's exporter is down",
    "Prometheus has not reached the exporter for a minute: run states, decisions and the champion are unknown, and "
    "alerts on them can't fire.",
    PAGE,
)
OLD_EXPORTER_DOWN = Alert(
    {**CRITICAL, "job": "registry"},
    "Catwalk's registry is down",
    EXPORTER_DOWN.description.replace("the exporter", "the registry"),
    PAGE,
)
COURIER_DOWN = Alert(
    {**CRITICAL, "job": "courier"},
    "Catwalk's courier is down",
    "Prometheus has not reached the courier for a minute: notifications are not stored, and an outage of Prometheus "
    "itself stays unnoticed.",
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
JOBS = ("alertmanager", "prometheus", "statsd_exporter", "exporter", "courier")
ALL_UP = {up(job): constant(1) for job in JOBS}
STACK: list[Scenario] = [
    scenario(
        "one scrape is just over 60 % of its limit, another just under, a third has none",
        {**samples("exporter", 30_100), **samples("statsd_exporter", 29_900), **samples("prometheus", 9, limit=0)},
        silent("CardinalityNearLimit", "50s"),
        fires(
            "CardinalityNearLimit",
            "1m",
            Alert(
                {**WARNING, "job": "exporter"},
                "exporter: 60.2% of the sample limit",
                "A scrape of exporter has 60.2% of the samples that Prometheus accepts; beyond the limit the whole "
                "target is dropped.",
                PAGE,
            ),
        ),
        has(
            "job:sample_limit_used_ratio:max", "1m", {'{job="exporter"}': 0.602, '{job="statsd_exporter"}': 0.598}
        ),
    ),
    scenario(
        "a sweep fills statsd_exporter; a scrape is lost, and in the end it has more samples than it may",
        {
            **a_run(),
            series("catwalk_run_info", run_id="s1", dag_id="fashion_sweep", dag_run_id="manual__1"): "1x600",
            **points(RUN, 1, "1x60"), **points("s1", 3, "1x60"), **points("by hand", 2, "1x20"),
            of_job("scrape_samples_scraped", "statsd_exporter"): "30100x20 0 30100x30 50001x100 40000x100",
            of_job("scrape_sample_limit", "statsd_exporter"): constant(50_000),
            up("statsd_exporter"): "1x20 0 1x30 0x100 1x100",
            up("exporter"): constant(1), up("courier"): constant(1),
        },
        fires("CardinalityNearLimit", "4m", near("60.2%")),
        silent("SampleLimitExceeded", "9m10s"),
        fires("CardinalityNearLimit", "9m10s", near("100%")),
        fires("SampleLimitExceeded", "9m20s", beyond(50_001)),
        silent("StatsdExporterDown", "9m10s"),
        silent("SampleLimitExceeded", "26m"),
        has(
            "dag_run:points_exposed:max15m",
            "9m",
            {
                '{dag_id="fashion_sweep", dag_run_id="manual__1", model="mlp"}': 3,
                '{dag_id="fashion_training", model="mlp"}': 1,
            },
        ),
        has(
            "target:samples_beyond_limit:count",
            "9m10s",
            {'{instance="statsd_exporter:1", job="statsd_exporter"}': 50_001},
        ),
        has("job:up:min", "9m10s", {'{job="exporter"}': 1, '{job="courier"}': 1}),
    ),
    scenario(
        "a target without a limit, and one that is at its limit",
        {
            **samples("exporter", 50_000), **samples("statsd_exporter", 60_000, limit=0),
            up("exporter"): constant(0), up("statsd_exporter"): constant(0),
        },
        silent("SampleLimitExceeded", "5m"),
        fires("StatsdExporterDown", "5m", STATSD_EXPORTER_DOWN),
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
        "a target crashes once a minute, and is back before the next scrape or the one after it",
        {
            **ALL_UP,
            up("alertmanager"): "1x11 0 1x5 0 1x5 0 1x5 0 1x200",
            of_job("process_start_time_seconds", "alertmanager"): "0x11 stale 120x5 180x5 240x5 stale 300x200",
            of_job("process_start_time_seconds", "statsd_exporter"): "0x60 600x10 720x200",
        },
        silent("TargetDown", "3m50s"),
        fires("TargetDown", "4m10s", restarts("alertmanager", 3)),
        fires("TargetDown", "14m", restarts("alertmanager", 4)),
        silent("TargetDown", "25m"),
        silent("StatsdExporterDown", "14m"),
    ),
    scenario(
        "nothing is scraped",
        {},
        silent("TargetDown", "50s"),
        silent("CatwalkServiceDown", "50s"),
        fires("TargetDown", "1m", target_down("alertmanager"), target_down("prometheus")),
        fires("CatwalkServiceDown", "1m", EXPORTER_DOWN, COURIER_DOWN),
    ),
    scenario(
        "jobs that have alerts of their own are down",
        {**ALL_UP, **{up(job): "1x5 0x100" for job in ("statsd_exporter", "exporter", "courier")}},
        silent("TargetDown", "10m"),
        silent("CatwalkServiceDown", "1m50s"),
        fires("CatwalkServiceDown", "2m", EXPORTER_DOWN, COURIER_DOWN),
    ),
    scenario(
        "your own Prometheus has the exporter under its former name, and loses it later",
        {**{name: value for name, value in ALL_UP.items() if name != up("exporter")}, up("registry"): "1x50 0x100"},
        silent("TargetDown", "8m"),
        silent("CatwalkServiceDown", "8m"),
        silent("TargetDown", "12m"),
        fires("CatwalkServiceDown", "12m", OLD_EXPORTER_DOWN),
    ),
    scenario(
        "the exporter stops under its former name, and starts under its current one",
        {**ALL_UP, up("registry"): "1x5 0", up("exporter"): "_x7 1x100"},
        silent("CatwalkServiceDown", "2m"),
        silent("CatwalkServiceDown", "5m"),
        silent("TargetDown", "5m"),
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
                "Prometheus can't evaluate rules: alerts can't fire",
                "Rules of a fail to evaluate; alerts that depend on them can't fire.",
                PAGE,
            ),
        ),
        silent("RuleEvaluationFailing", "7m"),
    ),
    scenario(
        "notifications fail on both legs",
        {
            of_job("prometheus_notifications_errors_total", "prometheus", alertmanager="am"): "0x5 2+1x200",
            of_job("alertmanager_notifications_failed_total", "alertmanager", integration="email"): "0x5 2+1x200",
            of_job("alertmanager_notifications_failed_total", "alertmanager", integration="slack"): constant(3),
        },
        silent("NotificationsFailing", "5m50s"),
        fires(
            "NotificationsFailing",
            "6m",
            Alert(
                {**CRITICAL, "job": "prometheus"},
                "Notifications fail in prometheus",
                "prometheus has repeatedly failed for five minutes to deliver alerts.",
                PAGE,
            ),
            Alert(
                {**CRITICAL, "job": "alertmanager", "integration": "email"},
                "Notifications fail in alertmanager (email)",
                "alertmanager has repeatedly failed for five minutes to deliver alerts by email.",
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
                    f"{job} could not load its changed configuration and keeps using the old one.",
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
        "the same volume by two exporters, one of which has room; just over 1 GiB elsewhere is not critical",
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
                "Alerts of Prometheus reach you",
                "Always firing; the courier makes a callout when it stops.",
                PAGE,
            ),
        ),
    ),
]  # fmt: skip

SCENARIOS = POINTS + STATSD + STACK

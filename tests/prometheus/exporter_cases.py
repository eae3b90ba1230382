"""Scenarios for what is held while the exporter, the store or Airflow can't be asked."""

from __future__ import annotations

from tests.prometheus.model_cases import CRITICAL, OLDER, asked, below_floor, classes, collapsed, latest, role
from tests.prometheus.scenario import Scenario, constant, fires, has, scenario, series, silent

UP = 'up{job="exporter", instance="exporter:1"}'
SOURCE = 'instance="exporter:1", job="exporter"'
STORE = series("catwalk_store_up")
OLD_SOURCE = 'instance="registry:1", job="registry"'
OLD_UP, OLD_STORE = f"up{{{OLD_SOURCE}}}", f"catwalk_store_up{{{OLD_SOURCE}}}"
OLD_API_SERVER = f'catwalk_airflow_component_healthy{{component="api_server", {OLD_SOURCE}}}'
API_SERVER = series("catwalk_airflow_component_healthy", component="api_server")
SCHEDULER = 'exporter:airflow_component_healthy:held{component="scheduler"}'

OF_LEDGER = {
    "model_accuracy_ratio": {"role": "latest"},
    "model_class_accuracy_ratio": {"role": "latest"},
    "model_calibration_error_ratio": {"role": "latest"},
    "model_dataset_class_share_ratio": {"role": "latest"},
    "model_dataset_pixel_mean": {"role": "latest"},
    "model_dataset_pixel_stddev": {"role": "latest"},
    "model_dataset_info": {"role": "latest"},
    "champion_info": {"model": "mlp"},
    "champion_promoted_timestamp_seconds": {"model": "mlp"},
    "runs_blocked": {"model": "mlp"},
    "next_run_due_timestamp_seconds": {"model": "mlp"},
    "good_run_due_timestamp_seconds": {"model": "mlp"},
    "run_points_expected": {"model": "mlp"},
}
"""What the ledger holds: held while the exporter is away, and while the store is."""
OF_METRICS = {
    "model_version_info": {"role": "latest"},
    "model_metric": {"role": "latest", "metric": "mae"},
    "metric_info": {"metric": "mae"},
    "model_info": {"model": "mlp"},
    "threshold": {"model": "mlp", "name": "champion_age_seconds"},
    "last_run_started_timestamp_seconds": {"model": "mlp", "run_id": "r", "state": "failed"},
    "last_decision_timestamp_seconds": {"model": "mlp", "run_id": "r", "decision": "hold", "reason": "floor"},
    "model_dataset_statistic": {"role": "latest", "statistic": "rows"},
    "realised_metric": {"model": "mlp", "version": "v", "metric": "mae", "window": "7d", "bound": "low"},
    "realised_predictions": {"model": "mlp", "version": "v", "window": "7d"},
    "labels_last_timestamp_seconds": {"model": "mlp"},
}
"""The same, which the exporter's former job did not report."""
OF_AIRFLOW = {
    "airflow_component_healthy": {"component": "scheduler"},
    "dag_paused": {"dag_id": "a"},
    "dag_run_failed_timestamp_seconds": {"dag_id": "a"},
}
OF_ITSELF = {"store_up": {}, "disk_free_bytes": {"volume": "store"}}


def _sample(labels: dict[str, str], job: str = "exporter") -> str:
    every = sorted([*labels.items(), *_source(job)])
    return "{" + ", ".join(f'{name}="{value}"' for name, value in every) + "}"


def held(stem: str, labels: dict[str, str], state: dict[str, str], away: str) -> Scenario:
    """Three values, then nothing while the source is away for ten minutes, another value, and in the end nothing."""
    sample, record = _sample(labels), f"exporter:{stem}:held"
    return scenario(
        f"{record} while {away}",
        {series(f"catwalk_{stem}", **labels): "1x30 stale _x59 2x30 stale", **state},
        has(record, "5m", {sample: 1}),
        has(record, "5m10s", {sample: 1}),
        has(record, "15m", {sample: 1}),
        has(record, "15m10s", {sample: 2}),
        has(record, "29m", {}),
    )


def _source(job: str = "exporter") -> list[tuple[str, str]]:
    return [("instance", f"{job}:1"), ("job", job)]


def held_over_an_upgrade(stem: str, labels: dict[str, str]) -> Scenario:
    """What was held under the former name stays held until the exporter answers, for an hour at most."""
    record = f"exporter:{stem}:held"
    before, after = (_sample(labels, job) for job in ("registry", "exporter"))
    return scenario(
        f"{record} over an upgrade",
        {
            f"registry:{stem}:held{before}": "1x30",
            f"catwalk_{stem}{after}": "_x120 2x100",
            'up{job="registry", instance="registry:1"}': "1x30",
            UP: "_x40 0x59 1x100", STORE: "_x110 0x9 1x100", API_SERVER: "_x110 0x9 1x100",
        },
        has(record, "5m", {before: 1}),
        has(record, "19m50s", {before: 1}),
        has(record, "20m10s", {after: 2}),
    )  # fmt: skip


EXPORTER_AWAY = {UP: "1x30 0x59 1x100"}
AWAY: list[Scenario] = [
    *(
        held(stem, labels, EXPORTER_AWAY, "the exporter is away")
        for stem, labels in {**OF_LEDGER, **OF_METRICS, **OF_AIRFLOW, **OF_ITSELF}.items()
        if stem != "store_up"
    ),
    *(
        held(stem, labels, {UP: constant(1), STORE: "1x30 0x59 1x100"}, "the store is away, the exporter started again")
        for stem, labels in {**OF_LEDGER, **OF_METRICS}.items()
    ),
    *(
        held(stem, labels, {UP: constant(1), API_SERVER: "1x30 0x59 1x100"}, "Airflow's API server is away")
        for stem, labels in OF_AIRFLOW.items()
        if stem != "airflow_component_healthy"
    ),
    scenario(
        "the health of Airflow's other components while its API server is away",
        {
            UP: constant(1),
            API_SERVER: "1x30 0x59 1x100",
            series("catwalk_airflow_component_healthy", component="scheduler"): "1x30 stale _x59 0x30 stale",
        },
        has(SCHEDULER, "5m10s", {_sample({"component": "scheduler"}): 1}),
        has(SCHEDULER, "14m50s", {_sample({"component": "scheduler"}): 1}),
        has(SCHEDULER, "15m10s", {_sample({"component": "scheduler"}): 0}),
        has(SCHEDULER, "29m", {}),
    ),
    held("store_up", {}, EXPORTER_AWAY, "the exporter is away"),
]
"""Each record while a source that it depends on is away."""
HELD: list[Scenario] = [
    *AWAY,
    *(held_over_an_upgrade(stem, labels) for stem, labels in OF_LEDGER.items()),
    *(
        held_over_an_upgrade(stem, labels)
        for stem, labels in OF_AIRFLOW.items()
        if stem != "airflow_component_healthy"
    ),
    scenario(
        "the job has its former name: it doesn't answer after an upgrade, and in your own Prometheus",
        {
            OLD_UP: "1x30 0x29 1x100", OLD_STORE: "1x30 stale _x29 1x20 0x79",
            OLD_API_SERVER: "1x30 stale _x29 1x20 0x79",
        },
        has("exporter:ledger_unread:info", "5m", {}),
        has("exporter:ledger_replaced:info", "5m", {}),
        has("exporter:airflow_replaced:info", "5m", {}),
        has("exporter:ledger_unread:info", "8m", {f"{{{OLD_SOURCE}}}": 0}),
        has("exporter:ledger_replaced:info", "8m", {f"{{{OLD_SOURCE}}}": 0}),
        has("exporter:airflow_replaced:info", "8m", {f"{{{OLD_SOURCE}}}": 0}),
        has("exporter:ledger_unread:info", "12m", {}),
        has("exporter:ledger_replaced:info", "12m", {}),
        has("exporter:airflow_replaced:info", "12m", {}),
        has("exporter:ledger_unread:info", "20m", {f"{{{OLD_SOURCE}}}": 0}),
        has("exporter:ledger_replaced:info", "20m", {f"{{{OLD_SOURCE}}}": 1}),
        has("exporter:airflow_replaced:info", "20m", {f"{{{OLD_SOURCE}}}": 1}),
    ),
    scenario(
        "who can't be asked any more since an upgrade is forgotten after an hour",
        {OLD_UP: "1x30"},
        has("exporter:ledger_unread:info", "1h", {f"{{{OLD_SOURCE}}}": 1}),
        has("exporter:ledger_unread:info", "1h6m", {}),
        has("exporter:ledger_replaced:info", "1h", {f"{{{OLD_SOURCE}}}": 1}),
        has("exporter:ledger_replaced:info", "1h6m", {}),
        has("exporter:airflow_replaced:info", "1h", {f"{{{OLD_SOURCE}}}": 1}),
        has("exporter:airflow_replaced:info", "1h6m", {}),
    ),
    scenario(
        "who can't be asked",
        {
            UP: "1x30 0x59 1x100", STORE: "1x9 0x20 stale _x59 1x100",
            UP.replace(":1", ":2"): constant(1), STORE.replace(":1", ":2"): constant(1),
        },
        has("exporter:ledger_unread:info", "1m", {}),
        has("exporter:ledger_unread:info", "3m", {f"{{{SOURCE}}}": 0}),
        has("exporter:ledger_unread:info", "10m", {f"{{{SOURCE}}}": 0}),
    ),
]  # fmt: skip

CHAMPION = role("champion", OLDER, accuracy_ratio=0.879)
OUTAGES = "1x6 0 1x6 0x3 1x10 0x30 1x10 0x300 1x300"
"""One scrape lost, 21 s, five minutes, 50 minutes."""
GAPS = "{0}x6 stale {0}x6 stale _x3 {0}x10 stale _x30 {0}x10 stale _x300 {0}x300"


def through(alert: str, *firing: object, series_: dict[str, str]) -> Scenario:
    """An alert that keeps firing through outages of the exporter."""
    times = ("1m20s", "2m30s", "5m30s", "9m20s", "10m30s", "40m", "59m", "62m")
    return scenario(
        f"{alert} through outages of the exporter",
        {UP: OUTAGES, **series_},
        *(fires(alert, at, *firing) for at in times),  # type: ignore[arg-type]
    )


ALERTS: list[Scenario] = [
    through(
        "ModelAccuracyBelowFloor",
        below_floor(OLDER, CRITICAL),
        series_={
            **{name: GAPS.format("0.879") for name in CHAMPION},
            **{name: GAPS.format("0.9") for name in latest()},
            **{name: GAPS.format("0.88") for name in asked(accuracy_floor=0.88)},
        },
    ),
    through(
        "ModelClassCollapsed",
        collapsed(OLDER, CRITICAL),
        series_={
            **{name: GAPS.format("0.599") for name in classes("champion", OLDER, shirt=0.599)},
            **{name: GAPS.format("0.9") for name in latest()},
            **{name: GAPS.format("0.6") for name in asked(recall_floor=0.6)},
        },
    ),
    scenario(
        "the exporter is started again while the store is away: what it knew is no longer served, and still so",
        {
            UP: "1x30 0x3 1x500", STORE: "1x20 0x9 stale _x3 0x500",
            **dict.fromkeys(CHAMPION, "0.879x30 stale"), **latest(), **asked(accuracy_floor=0.88),
        },
        fires("ModelAccuracyBelowFloor", "1h", below_floor(OLDER, CRITICAL)),
    ),
    scenario(
        "a champion is replaced while the exporter is away",
        {
            UP: "1x30 0x60 1x500", **latest(), **asked(accuracy_floor=0.88),
            **dict.fromkeys(CHAMPION, "0.879x30 stale"),
            **dict.fromkeys(role("champion", "new", accuracy_ratio=0.9), "_x92 0.9x500"),
        },
        fires("ModelAccuracyBelowFloor", "15m", below_floor(OLDER, CRITICAL)),
        silent("ModelAccuracyBelowFloor", "15m30s"),
    ),
]  # fmt: skip

SCENARIOS = HELD + ALERTS

"""Scenarios for what dashboards count."""

from __future__ import annotations

from tests.prometheus.scenario import Scenario, a_run, has, scenario, series

_STATSD_EXPORTER = 'job="statsd_exporter", instance="statsd_exporter:1"'
_COURIER = 'job="alertmanager", instance="alertmanager:1"'
UP = f"up{{{_STATSD_EXPORTER}}}"
START = f"process_start_time_seconds{{{_STATSD_EXPORTER}}}"
STORED = 'catwalk_courier_stored_total{job="courier", instance="courier:1", status="firing"}'
_STORED_YOUNG = 'process_start_time_seconds{job="courier", instance="courier:1"}'
YOUNG = f"process_start_time_seconds{{{_COURIER}}}"


def _task(state: str) -> str:
    return f'airflow_ti_finish_total{{{_STATSD_EXPORTER}, dag_id="nightly", task_id="train", state="{state}"}}'


def _of(integration: str) -> str:
    return f'alertmanager_notifications_total{{{_COURIER}, integration="{integration}"}}'


def _recorded(series: str, process: int) -> str:
    """The labels that a counter's series has once it is recorded, of a process that began then."""
    name, _, labels = series.partition("{")
    return f'{{counter="{name}", process="{process}", {labels}'


FAILED, SUCCEEDED = _recorded(_task("failed"), -9000), _recorded(_task("success"), -9000)
FAILED_NEXT, SUCCEEDED_NEXT = _recorded(_task("failed"), 300), _recorded(_task("success"), 300)
WEBHOOK = _recorded(_of("webhook"), 170)
GROWTH, LAST = "job:counter:growth", "job:counter:last"

_EXPORTER = 'job="exporter", instance="exporter:1"'
_STORE = "catwalk_store_operation_duration_seconds"
_GET = f'{_EXPORTER}, operation="get"'

_NIGHTLY = {"run_id": "nightly", "model": "mlp"}
STARTED = "run:started_timestamp_seconds:last"


def _run(run_id: str, trial: bool = False) -> str:
    """The labels of a run in :data:`STARTED`."""
    marked = ', trial="yes"' if trial else ""
    return f'{{model="mlp", run_id="{run_id}"{marked}}}'


SCENARIOS: list[Scenario] = [
    scenario(
        "the worst of a minute is kept, of whichever instance",
        {
            UP: "1x8 0 1x20",
            'up{job="statsd_exporter", instance="statsd_exporter:2"}': "1x29",
            f"scrape_duration_seconds{{{_EXPORTER}}}": "0.1x8 2 0.1x20",
            f"scrape_samples_scraped{{{_EXPORTER}}}": "10x8 40 10x20",
            f"scrape_sample_limit{{{_EXPORTER}}}": "50x29",
            f'catwalk_airflow_component_healthy{{{_EXPORTER}, component="scheduler"}}': "1x8 0 1x20",
            'catwalk_airflow_component_healthy{job="exporter", instance="exporter:2", component="scheduler"}': "1x29",
        },
        has("job:up:min1m", "1m", {'{job="statsd_exporter"}': 1}),
        has("job:up:min1m", "2m", {'{job="statsd_exporter"}': 0}),
        has("job:up:min1m", "3m", {'{job="statsd_exporter"}': 1}),
        has("component:airflow_healthy:min1m", "2m", {'{component="scheduler"}': 0}),
        has("component:airflow_healthy:min1m", "3m", {'{component="scheduler"}': 1}),
        has("job:scrape_duration_seconds:max1m", "2m", {'{job="exporter"}': 2}),
        has("job:sample_limit_used_ratio:max1m", "2m", {'{job="exporter"}': 0.8}),
        has("job:sample_limit_used_ratio:max1m", "3m", {'{job="exporter"}': 0.2}),
    ),
    scenario(
        "requests of the exporter to S3: how many, and how slow the slowest of a minute were",
        {
            f"{_STORE}_count{{{_GET}}}": "0+5x60",
            f'{_STORE}_bucket{{{_GET}, le="1"}}': "0+5x60",
            f'{_STORE}_bucket{{{_GET}, le="+Inf"}}': "0+5x60",
        },
        has("operation:store_operations:rate1m", "5m", {'{operation="get"}': 0.5}),
        has("operation:store_operation_duration_seconds:max1m", "5m", {'{operation="get"}': 0.95}),
    ),
    scenario(
        "each event is counted once: growth, the first of a series, and what a new process counts; not an old count",
        {
            UP: "1x100",
            # A process that is old when it is met, and one that follows it after five minutes.
            START: "-9000x29 300x70",
            _task("failed"): "5x5 7x23 1x70",
            # Born in the middle; the next process counts as many again, after a while.
            _task("success"): "_x12 3x17 stale _x3 3x70",
        },
        has(GROWTH, "0s", {}),
        has(GROWTH, "50s", {}),
        has(GROWTH, "1m", {FAILED: 2}),
        has(GROWTH, "1m10s", {}),
        has(GROWTH, "2m", {SUCCEEDED: 3}),
        has(GROWTH, "2m10s", {}),
        has(GROWTH, "5m", {FAILED_NEXT: 1}),
        has(GROWTH, "5m30s", {}),
        has(GROWTH, "5m40s", {SUCCEEDED_NEXT: 3}),
        has(GROWTH, "5m50s", {}),
        has(LAST, "2m", {FAILED: 7, SUCCEEDED: 3}),
        has("job:process_start_time_seconds:last", "2m", {f"{{{_STATSD_EXPORTER}}}": -9000}),
    ),
    scenario(
        "a process that is scraped young has counted only new events; labels that identify no one are left out",
        {
            **{YOUNG: "_x18 170x30", _of("webhook"): "_x18 2x30", _of("sns"): "_x18 2x30"},
            **{_STORED_YOUNG: "_x18 170x30", STORED: "_x18 1x30"},
        },
        has(LAST, "3m", {WEBHOOK: 2, _recorded(STORED, 170): 1}),
        has(GROWTH, "2m50s", {}),
        has(GROWTH, "3m", {WEBHOOK: 2, _recorded(STORED, 170): 1}),
        has(GROWTH, "3m10s", {}),
    ),
    scenario(
        "what was counted while nothing was scraped for half an hour is counted afterwards, once",
        {UP: "1x2 0x180 1x100", START: "-9000x2 _x180 -9000x100", _task("failed"): "4x2 _x180 6x100"},
        has(GROWTH, "20m", {}),
        has(GROWTH, "30m20s", {}),
        has(GROWTH, "30m30s", {FAILED: 2}),
        has(GROWTH, "30m40s", {}),
        has("job:scraped_timestamp_seconds:last", "20s", {'{job="statsd_exporter"}': 20}),
        has("job:scraped_timestamp_seconds:last", "20m", {}),
        has("job:scraped_timestamp_seconds:last", "31m", {'{job="statsd_exporter"}': 1860}),
    ),
    scenario(
        "which runs there were: a trial is marked until the gate has decided about it",
        {
            **a_run("nightly", 100, samples=40),
            **a_run("trial", 110, "sweep"),
            **a_run("chosen", 120, "sweep"),
            series("catwalk_decision_info", run_id="chosen", model="mlp", decision="ship"): "_x20 1x100",
            series("ml_test_accuracy_ratio", **_NIGHTLY): "0.9x40",
            series("catwalk_model_dataset_class_share_ratio", **_NIGHTLY, role="latest", class_="bag"): "0.1x40",
            series("catwalk_model_dataset_class_share_ratio", **_NIGHTLY, role="champion", class_="bag"): "0.1x40",
            series("catwalk_decision_info", run_id="nightly", model="mlp", decision="ship"): "1x40",
        },
        has(STARTED, "2m", {_run("nightly"): 100, _run("trial", True): 110, _run("chosen", True): 120}),
        has(STARTED, "8m", {_run("nightly"): 100, _run("trial", True): 110, _run("chosen"): 120}),
        has(STARTED, "12m", {_run("trial", True): 110, _run("chosen"): 120}),
        has("run:test_metric:last", "2m", {'{model="mlp", run_id="nightly", metric="accuracy"}': 0.9}),
        has("run:dataset_class_share_ratio:last", "2m", {'{model="mlp", run_id="nightly", class="bag"}': 0.1}),
        has("run:dataset_class_share_ratio:last", "12m", {}),
        has("model:dag:info", "12m", {'{dag_id="fashion_training", model="mlp"}': 1}),
    ),
]

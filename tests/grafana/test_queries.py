"""Every query of every panel, variable and annotation, against a real Prometheus: fed by real runs, and empty."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catwalk.telemetry.wire.labels import label_value
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import tool
from tests.grafana.asking import ask
from tests.grafana.conftest import Fed
from tests.grafana.promql import Query, all_queries, ends_an_axis, metric_names, of_other_headline
from tests.support.servers import wait_for_port, wait_until

pytestmark = pytest.mark.integration

SILENT = {
    "catwalk_airflow_component_healthy": "no Airflow in these services",
    "ALERTS": "no alert is firing here",
    "prometheus_rule_group_last_duration_seconds": "is there with the rules",
    "catwalk_links_info": "airflow and the courier are not among these services",
    "job:counter:growth": "nothing has happened",
    "model:dataset_statistic:change": "no run is the latest, since these come from no DAG",
    "model:dataset_statistic_change:ratio": "the same",
    "ml_stage_gpu_peak_memory_bytes": "no GPU here",
    "ml_stage_gpu_utilisation_ratio": "the same",
    "exporter:model_info:held": "only these tests run these models, and they have no description",
    "exporter:next_run_due_timestamp_seconds:held": "nor is a run of them due",
}
"""Metrics whose queries may be empty in these services, and why."""
ABSENT = (
    "airflow_", "catwalk_service_", "catwalk_server_", "catwalk_realised_", "catwalk_logged_",
    "model:service_", "model:reference_",
)  # fmt: skip
"""Beginnings of those of what is not here: Airflow, and a model in use."""


def may_be_empty(query: Query) -> bool:
    names = metric_names(query.expr)
    if of_other_headline(query):
        return True  # these models are judged by their accuracy
    if ends_an_axis(query):
        return True
    if query.name.endswith(("Metric of the test: $metric/B", "Metric of the test: $metric/C")):
        return True  # nor have they limits of the metric that is chosen here
    if 'role="latest"' in query.expr or query.place == "dag":
        return True  # these runs come from no DAG
    return any(name in SILENT or name.startswith(ABSENT) for name in names)


def test_what_must_be_there_is_there(two_models: tuple[Fed, Fed]) -> None:
    for fed in two_models:
        assert [query.name for query, answer in fed.answers.items() if not answer and not may_be_empty(query)] == []
        assert sum(bool(answer) for answer in fed.answers.values()) > 100


def rows(fed: Fed, dashboard: str, panel: str, ref: str = "A", by: str = "run_id") -> dict[str, float]:
    answer = next(a for q, a in fed.answers.items() if (q.dashboard, q.place, q.ref) == (dashboard, panel, ref))
    return {str(series["metric"].get(by, "")): float(series["value"][1]) for series in answer}


def test_answers_are_those_of_the_ledger(two_models: tuple[Fed, Fed]) -> None:
    for fed in two_models:
        for run in (fed.champion, fed.challenger):
            evaluation, training = run.evaluation(), run.training()
            assert evaluation is not None and training is not None and training.best is not None
            assert rows(fed, "catwalk-runs", "Runs", "B")[run.run_id] == evaluation.accuracy
            assert rows(fed, "catwalk-runs", "Runs", "F")[run.run_id] == training.best.validation_loss
            assert rows(fed, "catwalk-runs", "Runs", "G")[run.run_id] == training.best.epoch
        compared = set(rows(fed, "catwalk-runs", "Runs", "C"))
        assert compared == {fed.challenger.run_id}, "only it was compared with a champion"
        in_service = fed.champion.evaluation()
        assert in_service
        assert rows(fed, "catwalk-home", "Champion")[""] == in_service.accuracy
        assert rows(fed, "catwalk-model", "Calibration error in service")[""] == in_service.calibration_error
        [(worst, recall)] = rows(fed, "catwalk-model", "Worst class in service", by="class").items()
        assert (recall, worst in fed.champion.record.classes) == (min(in_service.class_accuracy), True)
        assert rows(fed, "catwalk-telemetry", "Points of the last day's runs", "C")[fed.challenger.run_id] == 0
        assert rows(fed, "catwalk-telemetry", "Targets down")[""] == 0


@pytest.mark.parametrize("chosen", [0, 1])
def test_no_answer_about_one_model_is_of_the_other(two_models: tuple[Fed, Fed], chosen: int) -> None:
    fed, other = two_models[chosen], two_models[1 - chosen]
    foreign = {other.champion.run_id, other.challenger.run_id, other.champion.record.model}
    foreign |= set(map(label_value, other.champion.record.classes))
    of_all = {"catwalk-telemetry", "catwalk-fleet"}  # whose tables have a column that says which model
    mixed = {
        query.name
        for query, answer in fed.answers.items()
        if query.dashboard not in of_all and query.place not in ("model", "Firing alerts")
        and any(foreign & set(series["metric"].values()) for series in answer)
    }  # fmt: skip
    assert not mixed
    listed = rows(fed, "catwalk-telemetry", "Points of the last day's runs", by="model")
    assert set(listed) == {fed.champion.record.model, other.champion.record.model}


@pytest.fixture
def empty_prometheus(tmp_path: Path) -> Iterator[str]:
    """A Prometheus that scrapes nothing."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text("{}")
    command = [
        str(tool("prometheus")),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def claims(answer: list[dict[str, Any]]) -> list[str]:
    """The numbers that an instant or a range's last point gives; a placeholder has none."""
    values = [series["value"] if "value" in series else series["values"][-1] for series in answer]
    return [value for _, value in values if value != "NaN"]


VARIABLES = ("model", "run", "runs", "recent", "champion", "split", "metric", "statistic", "dag")


def test_an_empty_prometheus_answers_every_query_without_error(empty_prometheus: str) -> None:
    variables = dict.fromkeys(VARIABLES, "") | {"newest": "10"}
    wait_until(lambda: get(f"{empty_prometheus}/-/ready") is not None, "Prometheus is ready")
    now = time.time()
    found = {query: ask(empty_prometheus, query, variables, now, 3_600) for query in all_queries()}
    claimed = {query.place: claims(answer) for query, answer in found.items() if claims(answer)}
    assert claimed == {"Status": ["3"]}, "that there is no data, and nothing else"

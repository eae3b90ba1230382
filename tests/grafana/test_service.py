"""The Service dashboard over a real monitor and a real Prometheus: never, without traffic, clean, drifted, away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import HTTPServer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, start_http_server

import catwalk
from catwalk.service import reference
from grafana.board import all_panels
from grafana.dashboards.service import DASHBOARD
from stack.ports import free_port
from tests.grafana.asking import ask
from tests.grafana.measured import SCRAPE_SECONDS, Prometheus, faster
from tests.grafana.promql import Query, other_queries, panel_queries
from tests.grafana.test_states import is_empty
from tests.support.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MODEL, VERSION = "churn-1.2", "20261123T030000Z-00000001"
HOUR = 3_600
CLASSES = ["stays", "leaves"]
ALL = {panel["title"] for panel in all_panels(DASHBOARD) if panel["type"] != "row"}
BY_LABELS = {"Realised in a week", "Realised by day", "Logged predictions"}
"""These come from the exporter, and there is none here."""
OF_SERVERS = {"Responses by status", "Last champion check", "Refused versions"}
"""These come from `catwalk serve` itself, and this service is a program of its own."""
PANELS = ALL - BY_LABELS - OF_SERVERS
NO_REQUEST = {"Failed requests", "Latency, p99", "Latency"}
NO_FIGURE = {"Largest shift", "Largest shift, by side and window", "Shift over an hour", "Shift over a day"}
NO_ESTIMATE = {"Accuracy, estimated"}
NO_DAY = {"Shift over a day"}
"""A day consists of whole hours, and none has ended yet."""
Answers = dict[Query, Any]


@dataclass
class Service:
    """A model in use, its replica, and the Prometheus that scrapes it."""

    prometheus: Prometheus
    monitor: catwalk.PredictionMonitor
    registry: CollectorRegistry
    port: int
    server: HTTPServer | None = None

    def start(self) -> None:
        self.server, _ = start_http_server(self.port, "127.0.0.1", self.registry)
        wait_until(lambda: self.prometheus.query("catwalk_service_info"), "the replica is scraped")

    def stop(self) -> None:
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def predicts(self, rows: int, age: float) -> None:
        """Makes that many predictions for people of that age."""
        random = np.random.default_rng(rows)
        for row in people(random, rows, age):
            with self.monitor.prediction({"age": row}) as seen:
                seen.output = answer(row)

    def shown(self) -> Answers:
        """What all panels and variables are answered now."""
        now = time.time()
        queries = [*panel_queries(DASHBOARD), *other_queries(DASHBOARD)]
        return {
            query: ask(self.prometheus.url, query, {"model": MODEL}, now, HOUR, SCRAPE_SECONDS) for query in queries
        }

    def settled(self, empty: set[str]) -> Answers:
        """What is shown once exactly these panels have nothing to show."""
        last: list[set[str]] = []

        def shown() -> Answers | None:
            answers = self.shown()
            last[:] = [silent(answers)]
            return answers if last[0] == empty else None

        try:
            return wait_until(shown, "these panels alone are empty", seconds=240)
        except AssertionError as error:
            raise AssertionError(f"empty: {sorted(last[0])}, not {sorted(empty)}") from error


def people(random: np.random.Generator, rows: int, age: float) -> list[float]:
    return list(random.normal(age, 10, rows).tolist())


def answer(age: float) -> list[float]:
    """What the model says: the older, the surer they stay."""
    stays = float(np.clip(age / 80, 0.05, 0.95))
    return [stays, 1 - stays]


def of(answers: Answers, panel: str, ref: str = "A") -> list[Any]:
    return next(found for query, found in answers.items() if (query.place, query.ref) == (panel, ref))


def value(answers: Answers, panel: str) -> float:
    [series] = of(answers, panel)
    return float(series["value"][1])


def silent(answers: Answers) -> set[str]:
    """Panels that have nothing to show."""
    return {name for name in PANELS if is_empty({q: found for q, found in answers.items() if q.place == name})}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("measured")
    monitor, registry = monitored()
    port = free_port()
    found = Service(Prometheus(folder, {"churn": port}, faster(folder)), monitor, registry, port)
    try:
        yield found
    finally:
        found.stop()
        found.prometheus.stop()


def monitored() -> tuple[catwalk.PredictionMonitor, CollectorRegistry]:
    run: Any = SimpleNamespace(record=SimpleNamespace(model=MODEL), run_id=VERSION)
    random = np.random.default_rng(0)
    held_out = people(random, 2_000, 40)
    scores = np.array([answer(age) for age in held_out])
    labels = (random.random(2_000) > scores[:, 0]).astype(int)
    made = reference.make(run, catwalk.Multiclass(CLASSES), {"age": np.array(held_out)}, scores, labels=labels)
    registry = CollectorRegistry()
    return catwalk.PredictionMonitor(MODEL, reference=made, registry=registry), registry


def test_no_service_no_traffic_clean_and_drifted_traffic_and_a_stopped_service_look_different(
    service: Service,
) -> None:
    never = service.settled(PANELS)
    assert not of(never, "model", "variable")

    service.start()
    idle = service.settled(NO_REQUEST | NO_FIGURE | NO_ESTIMATE)
    assert (value(idle, "Replicas"), value(idle, "Predictions in 1 h")) == (1, 0)
    assert {series["metric"]["model"] for series in of(idle, "model", "variable")} == {MODEL}
    assert {series["metric"]["version"]: series["value"][1] for series in of(idle, "Versions")} == {VERSION: "1"}
    assert {series["metric"]["window"] for series in of(idle, "Answers")} == {"reference"}

    service.predicts(400, age=40)
    clean = service.settled(NO_DAY)
    assert value(clean, "Predictions in 1 h") >= 390
    assert value(clean, "Largest shift") < 1
    assert value(clean, "Failed requests") == 0
    assert [bool(of(clean, "Accuracy, estimated", ref)) for ref in "ABCD"] == [True, True, True, False]
    known = service.monitor._current.reference.calibration
    assert known
    [estimate] = of(clean, "Accuracy, estimated")
    assert abs(float(estimate["values"][-1][1]) - known.accuracy) < 0.05
    assert {series["metric"]["bin"] for series in of(clean, "Answers")} >= set(CLASSES)
    features = {"input age", "prediction class", "prediction confidence"}
    assert {series["metric"]["name"] for series in of(clean, "Features")} == features

    service.predicts(2_000, age=75)
    wait_until(lambda: value(service.shown(), "Largest shift") > 1, "the drift is seen", seconds=120)
    drifted = service.shown()
    assert {series["metric"]["window"] for series in of(drifted, "Largest shift")} == {"hour"}
    over = {series["metric"]["name"] for series in of(drifted, "Features") if float(series["value"][1]) > 1}
    assert "input age" in over
    wait_until(lambda: of(service.shown(), "Accuracy, estimated", "D"), "the estimate is grey", seconds=120)

    service.stop()
    wait_until(lambda: value(service.shown(), "Replicas") == 0, "no replica is scraped")
    assert silent(service.shown()) <= NO_DAY, "unless an hour has ended during the test"

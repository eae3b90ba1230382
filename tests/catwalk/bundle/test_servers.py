"""Two Catwalks as guests of one real Prometheus, beside the servers, rules and StatsD senders of others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from catwalk.bundle.files import contents
from catwalk.bundle.folder import write
from catwalk.bundle.options import Options
from catwalk.clients import access
from catwalk.storage.s3_store import S3Store
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT
from tests.grafana.asking import ask
from tests.grafana.measured import Prometheus
from tests.grafana.promql import Query, other_queries, panel_queries
from tests.support.ledgers import load_first_edition
from tests.support.servers import ENVIRONMENT, S3Server, StatsdExporter, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

CHAMPION = "20261117T030000Z-9b3651a6"
KUBE_PROMETHEUS = {
    "groups": [
        {
            "name": "general.rules",
            "rules": [
                {
                    "alert": "TargetDown",
                    "expr": "100 * (count(up == 0) by (cluster, job) / count(up) by (cluster, job)) > 10",
                    "labels": {"severity": "warning"},
                },
                {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}},
                {"record": "count:up1", "expr": "count without (instance, pod, node) (up == 1)"},
                {"record": "count:up0", "expr": "count without (instance, pod, node) (up == 0)"},
            ],
        },
        {
            "name": "prometheus",
            "rules": [
                {"alert": name, "expr": f"increase({series}[5m]) > 0", "labels": {"severity": "critical"}}
                for name, series in {
                    "PrometheusRuleFailures": "prometheus_rule_evaluation_failures_total",
                    "PrometheusErrorSendingAlertsToSomeAlertmanagers": "prometheus_notifications_errors_total",
                    "AlertmanagerFailedToSendAlerts": "alertmanager_notifications_failed_total",
                }.items()
            ],
        },
    ]
}
"""Names and jobs as in kube-prometheus."""


@dataclass
class Catwalk:
    """One of the guests: its ledger is the other's, byte for byte."""

    name: str
    exporter: int
    statsd_exporter: StatsdExporter
    bundle: Path
    process: subprocess.Popen[bytes]

    def dashboards(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.bundle / "grafana/dashboards").glob("*.json"))]


def started(name: str, folder: Path, s3: S3Server, thresholds: Mapping[str, float]) -> Catwalk:
    """An exporter over the ledger that 0.1.0 wrote, and the bundle for it."""
    url = f"s3://{s3.bucket()}/runs"
    environment = {**os.environ, **ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3.url, "CATWALK_STORE": url}
    load_first_edition(S3Store(url))
    statsd, port = StatsdExporter(), free_port()
    environment["CATWALK_STATSD"] = f"127.0.0.1:{statsd.port}"
    command = [sys.executable, "-m", "catwalk_exporter", "--port", str(port), "--refresh", "0.5"]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.DEVNULL)
    options = Options(
        "http://exporter",
        "http://grafana",
        runbooks_url="http://runbooks",
        labels={"cluster": name},
        jobs={"exporter": "catwalk-exporter", "statsd_exporter": "catwalk-statsd"},
        thresholds=thresholds,
        shared_statsd=True,
    )
    write(folder / name, contents(options))
    wait_until(lambda: get(f"http://127.0.0.1:{port}/healthz") is not None, "the exporter has read S3")
    return Catwalk(name, port, statsd, folder / name, process)


class Theirs(Prometheus):
    """Someone else's Prometheus."""

    def __init__(self, folder: Path, guests: list[Catwalk], airflow: int) -> None:
        self.folder, self.port = folder, free_port()
        # An Airflow whose metrics others collect, a container registry, and a machine that is down.
        targets = {"airflow-statsd": [airflow], "registry": [free_port()], "node-exporter": [free_port()]}
        targets |= {job: [self.port] for job in ("prometheus", "alertmanager", "exporter", "courier")}
        jobs = [{"job_name": job, "static_configs": [_static(ports, {})]} for job, ports in targets.items()]
        jobs += [
            {
                "job_name": job,
                "sample_limit": 200_000,
                "extra_scrape_metrics": True,
                "static_configs": [_static([_port(each, job)], {"cluster": each.name}) for each in guests],
            }
            for job in ("catwalk-exporter", "catwalk-statsd")
        ]
        (folder / "kube-prometheus.yml").write_text(json.dumps(KUBE_PROMETHEUS))
        config = {
            "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
            "rule_files": ["kube-prometheus.yml", *(str(each.bundle / "prometheus/rules/*.yml") for each in guests)],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.start()

    def groups(self) -> list[dict[str, Any]]:
        return list(json.loads(access.fetch(f"{self.url}/api/v1/rules", timeout=30))["data"]["groups"])

    def firing(self) -> list[dict[str, str]]:
        """Returns the labels of the alerts that are pending or firing."""
        found = json.loads(access.fetch(f"{self.url}/api/v1/alerts", timeout=30))["data"]["alerts"]
        return [alert["labels"] for alert in found]


def _static(ports: list[int], labels: dict[str, str]) -> dict[str, Any]:
    return {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": labels}


def _port(guest: Catwalk, job: str) -> int:
    return guest.exporter if job == "catwalk-exporter" else guest.statsd_exporter.web_port


def send(to: StatsdExporter, *lines: str) -> None:
    with socket.create_connection(("127.0.0.1", to.port)) as connection:
        connection.sendall("".join(f"{line}\n" for line in lines).encode())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Theirs, Catwalk, Catwalk]]:
    """Everything runs, and the rules have evaluated it twice."""
    folder, s3, theirs = tmp_path_factory.mktemp("guests"), S3Server(tmp_path_factory.mktemp("s3")), StatsdExporter()
    s3.start()
    blue = green = prometheus = None
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3.url}.items():
            patch.setenv(name, value)
        try:
            blue = started("blue", folder, s3, {"runs_blocked": 0})
            green = started("green", folder, s3, {})
            send(theirs, "airflow.scheduler.tasks.starving:7|g", "airflow.dag_processing.import_errors:7|g")
            prometheus = Theirs(folder, [blue, green], theirs.web_port)
            for _ in range(6):  # names that no rule of ours knows, and a line that no parser accepts
                send(blue.statsd_exporter, "theirs.orders.total:1|c", "theirs.orders.total:1|g", "nonsense")
            since = time.time() + 30
            wait_until(lambda: evaluated(prometheus, since), "the rules have evaluated all of it")
            yield prometheus, blue, green
        finally:
            for part in (blue, green):
                if part:
                    part.process.terminate()
                    part.process.wait(30)
                    part.statsd_exporter.stop()
            if prometheus:
                prometheus.stop()
            theirs.stop()
            s3.stop()


def evaluated(prometheus: Theirs, since: float) -> bool:
    last = [group["lastEvaluation"] for group in prometheus.groups() if group["interval"] <= 60]
    return all(datetime.fromisoformat(at).timestamp() > since for at in last)


def test_every_rule_works_and_no_name_collides_with_theirs(place: tuple[Theirs, Catwalk, Catwalk]) -> None:
    groups = place[0].groups()
    assert {
        rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")
    } == {}
    ours = {rule["name"] for group in groups if group["name"].startswith("catwalk_") for rule in group["rules"]}
    theirs = {rule["name"] for group in groups if not group["name"].startswith("catwalk_") for rule in group["rules"]}
    assert len(ours) > 100 and len(theirs) == 7
    assert not ours & theirs


def test_what_happens_to_others_raises_none_of_our_alerts(place: tuple[Theirs, Catwalk, Catwalk]) -> None:
    prometheus = place[0]
    down = wait_until(
        lambda: [each for each in prometheus.firing() if each["alertname"] == "TargetDown"], "their alert"
    )
    assert {each["job"] for each in down} == {"registry", "node-exporter"}
    assert prometheus.query("airflow_scheduler_tasks_starving == 7"), "a metric of theirs with the name of one of ours"
    assert prometheus.query('statsd_exporter_events_unmapped_total{cluster="blue"} > 0')
    assert prometheus.query('statsd_exporter_sample_errors_total{cluster="blue"} > 0')
    slow = ("CatwalkServiceDown", "StatsdExporterDown", "StatsdPacketsDropped")  # pending at times, on a busy machine
    ours = [each for each in prometheus.firing() if each.get("stack") == "catwalk" and each["alertname"] not in slow]
    assert [each for each in ours if "model" not in each] == []


def test_each_catwalk_alerts_on_its_own_model_alone(place: tuple[Theirs, Catwalk, Catwalk]) -> None:
    prometheus = place[0]

    def blocked() -> list[dict[str, str]]:
        return [each for each in prometheus.firing() if each["alertname"] == "ModelShipBlockedRepeatedly"]

    told = wait_until(blocked, "the alert whose limit is 0 in one of them")
    assert {each["cluster"] for each in told} == {"blue"}, told
    assert "mlp" in {each["model"] for each in told}


def test_two_catwalks_have_the_same_data_and_do_not_mix(place: tuple[Theirs, Catwalk, Catwalk]) -> None:
    prometheus = place[0]
    differ = ("threshold:runs_blocked:max", "model:threshold:last", "job:counter:", "statsd_exporter:events:")
    names = {rule["record"] for rule in _rules(place[1]) if not rule.get("record", differ[0]).startswith(differ)}
    slow = {rule.get("record") for group in _groups(place[1]) if "interval" in group for rule in group["rules"]}
    both = 0
    for name in sorted(names):
        found = {cluster: _without(prometheus.query(f'{name}{{cluster="{cluster}"}}')) for cluster in ("blue", "green")}
        if name not in slow or all(found.values()):  # a group that is evaluated every few minutes may not have been yet
            assert found["blue"] == found["green"], name
        both += bool(found["blue"])
        assert not prometheus.query(f'{name}{{cluster=""}}'), name
    assert both > 40


@pytest.mark.parametrize("which", ["blue", "green"])
def test_every_query_of_every_dashboard_answers_and_shows_no_label_of_the_guest(
    place: tuple[Theirs, Catwalk, Catwalk], which: str
) -> None:
    guest = place[1] if which == "blue" else place[2]
    variables = {
        "model": "mlp", "run": CHAMPION, "runs": ".+", "champion": CHAMPION, "split": "validation",
        "metric": "accuracy", "statistic": "pixel_mean", "recent": ".+", "newest": "10", "dag": ".*",
    }  # fmt: skip
    answered = 0
    for query in [each for board in guest.dashboards() for each in _queries(board)]:
        found = ask(place[0].url, query, variables, time.time(), 3_600, 3)
        shown = query.ref != "variable"  # of which the query uses a single label
        assert not [series for series in found if shown and "cluster" in series["metric"]], query.name
        assert not [series for series in found if series["metric"].get("job") in ("registry", "node-exporter")], (
            query.name
        )
        answered += bool(found)
    assert answered > 60


def _queries(board: dict[str, Any]) -> Iterator[Query]:
    yield from panel_queries(board)
    yield from other_queries(board)


def _rules(guest: Catwalk) -> Iterator[dict[str, Any]]:
    for group in _groups(guest):
        yield from group["rules"]


def _groups(guest: Catwalk) -> Iterator[dict[str, Any]]:
    for path in (guest.bundle / "prometheus/rules").glob("*.yml"):
        yield from yaml.safe_load(path.read_text())["groups"]


def _without(found: list[tuple[dict[str, str], float]]) -> set[frozenset[tuple[str, str]]]:
    """Returns the labels of series, except those that distinguish the two."""
    other = ("cluster", "instance", "process")
    return {frozenset((name, value) for name, value in labels.items() if name not in other) for labels, _ in found}

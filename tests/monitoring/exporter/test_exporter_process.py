"""The exporter as a process: what a scrape gets, also while the store is down."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.service.labels.arrival import labels
from catwalk.storage.store import Store
from catwalk.telemetry import catalogue
from catwalk_exporter.exposition import Settings
from catwalk_exporter.service import Exporter, Server
from stack.ports import free_port
from stack.settings import PROJECT
from tests.support.ledgers import make_run, put_summary, summary
from tests.support.logs import VERSION, put_predictions
from tests.support.servers import PATIENCE, S3Server, wait_until

pytestmark = pytest.mark.integration

FIRST, SECOND = "20261122T030000Z-00000001", "20261123T030000Z-00000002"


class ExporterProcess:
    """An exporter, started as users start it."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.port, self.log = free_port(), log
        command = [
            sys.executable,
            "-m",
            "catwalk_exporter",
            "--port",
            str(self.port),
            "--refresh",
            "0.2",
            *arguments,
        ]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, cwd=PROJECT, env=dict(os.environ), stderr=file)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def sample(self, name: str, **labels: str) -> float | None:
        for line in self.get("/metrics").splitlines():
            if re.match(rf"{name}[ {{]", line) and all(f'{key}="{value}"' in line for key, value in labels.items()):
                return float(line.rpartition(" ")[2])
        return None


@pytest.fixture
def exporter(s3_store: Store, tmp_path: Path) -> Iterator[ExporterProcess]:
    put_summary(s3_store, summary(FIRST))
    process = ExporterProcess(tmp_path / "exporter.log")
    wait_until(lambda: process.status("/healthz") == 200)
    yield process
    process.process.kill()
    process.process.wait()


def test_an_outage_of_s3_is_reported_and_the_last_values_stay(exporter: ExporterProcess, s3_server: S3Server) -> None:
    assert exporter.sample(catalogue.STORE_UP.name) == 1
    s3_server.stop()
    try:
        wait_until(lambda: exporter.sample(catalogue.STORE_UP.name) == 0)
        started = time.monotonic()
        accuracy = exporter.sample(catalogue.MODEL_ACCURACY.name, role="latest")
        assert time.monotonic() - started < 10, "Prometheus would give up a scrape that takes longer"
        assert accuracy == 0.901
        assert exporter.status("/healthz") == 200
        assert "The store does not answer" in exporter.get("/")
    finally:
        s3_server.start()
    wait_until(lambda: exporter.sample(catalogue.STORE_UP.name) == 1)
    wait_until(lambda: "the store answers again" in exporter.log.read_text())
    log = exporter.log.read_text()
    assert log.count("ERROR") == 1, log
    assert log.count("the store answers again") == 1


def test_a_hanging_s3_is_an_outage_too(exporter: ExporterProcess, s3_server: S3Server, s3_store: Store) -> None:
    assert s3_server._process is not None
    s3_server._process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: exporter.sample(catalogue.STORE_UP.name) == 0)
        exporter.process.terminate()
        assert exporter.process.wait(timeout=PATIENCE) == 0
    finally:
        s3_server._process.send_signal(signal.SIGCONT)


def test_a_damaged_summary_is_named_once_and_the_others_are_served(exporter: ExporterProcess, s3_store: Store) -> None:
    s3_store.put(f"summaries/{SECOND}.json", b'{"run_id": ')
    wait_until(lambda: SECOND in exporter.log.read_text())
    wait_until(lambda: f"summaries/{SECOND}.json" in exporter.get("/"))
    s3_store.put("champions/mlp.json", b"[]")
    wait_until(lambda: "champions/mlp.json is damaged" in exporter.log.read_text())
    assert exporter.sample(catalogue.STORE_UP.name) == 1
    assert exporter.sample(catalogue.MODEL_ACCURACY.name, role="latest") == 0.901
    assert exporter.log.read_text().count(f"summaries/{SECOND}.json is damaged") == 1


def test_labels_that_are_joined_are_served_and_a_damaged_record_of_them_is_named(
    exporter: ExporterProcess, s3_store: Store
) -> None:
    put_predictions(s3_store, time.strftime("%Y-%m-%d", time.gmtime()), {"a": 0.9, "b": 0.2}, sampled_out=3)
    labels("churn", {"a": "yes", "unknown": "no"}, s3_store)
    served = {"model": "churn", "version": VERSION}
    wait_until(lambda: exporter.sample(catalogue.LOGGED_PREDICTIONS.name, **served, outcome="served") == 5)
    value = {"metric": "log_loss", "window": "7d", "bound": "value"}
    assert exporter.sample(catalogue.REALISED_METRIC.name, **served, **value) == pytest.approx(0.1053605)
    assert exporter.sample(catalogue.LABELS.name, model="churn", outcome="unknown") == 1
    s3_store.put("realised/churn.json", b"{}")
    wait_until(lambda: "realised/churn.json is damaged" in exporter.log.read_text())
    labels("churn", {"b": "no"}, s3_store)
    wait_until(lambda: exporter.sample(catalogue.REALISED_PREDICTIONS.name, **served, window="7d") == 2)


def test_points_are_expected_of_runs_that_ended_recently(exporter: ExporterProcess, s3_store: Store) -> None:
    now = time.time()
    make_run(s3_store, SECOND, ended=now - 300)
    make_run(s3_store, "20261123T040000Z-00000003", ended=now - 60)
    make_run(s3_store, "20261122T100000Z-00000004", ended=now - 13 * 3600)
    # 3 epochs of 19 points, the test's 133, two stages of 3
    wait_until(lambda: exporter.sample(catalogue.RUN_POINTS_EXPECTED.name, run_id=SECOND) == 3 * 19 + 133 + 2 * 3)
    text = exporter.get("/metrics")
    assert text.count(f"\n{catalogue.RUN_POINTS_EXPECTED.name}{{") == 1


def test_pages(exporter: ExporterProcess, s3_store: Store) -> None:
    put_summary(s3_store, summary(SECOND, error="<script>alert(1)</script>", dag_run_id='"><b>', state="failed"))
    wait_until(lambda: SECOND in exporter.get("/"))
    page = exporter.get(f"/runs/{SECOND}")
    assert "&lt;script&gt;" in page
    assert "<script" not in page and '"><b>' not in page
    assert "://" not in exporter.get("/") + page
    for path in ("/runs/20200101T000000Z-00000000", "/runs/../etc/passwd", "/nothing", "/%00"):
        assert exporter.status(path) == 404, path


def test_sigterm_ends_it(exporter: ExporterProcess) -> None:
    exporter.process.terminate()
    assert exporter.process.wait(timeout=PATIENCE) == 0


def test_a_taken_port_is_one_clear_line(exporter: ExporterProcess) -> None:
    command = [sys.executable, "-m", "catwalk_exporter", "--port", str(exporter.port)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"catwalk exporter: port {exporter.port} on 127.0.0.1 is in use; stop the program that listens there, "
        "or choose another port with --port\n"
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CATWALK_STORE": ""}, "CATWALK_STORE is not set"),
        ({"CATWALK_SCHEDULE_SECONDS": "soon"}, "CATWALK_SCHEDULE_SECONDS must be"),
        ({"CATWALK_SCHEDULE": "every night"}, "CATWALK_SCHEDULE must be five cron fields"),
        ({"CATWALK_STATSD": "nonsense"}, "CATWALK_STATSD must be"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(variables: dict[str, str], expected: str, s3_store: Store) -> None:
    command = [sys.executable, "-m", "catwalk_exporter", "--port", str(free_port())]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def test_metrics_that_are_no_longer_rendered_count_as_unhealthy(
    s3_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last values stay on the page, and readers would take them for current ones."""
    monkeypatch.setattr("catwalk_exporter.service.STALE_SECONDS", 0.5)
    exporter = Exporter(Settings(), 0.1, None)
    server = Server(("127.0.0.1", 0), exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def health() -> int:
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        connection.close()
        return status

    def broken(facts: object) -> bytes:
        raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")

    exporter.start()
    try:
        wait_until(lambda: health() == 200)
        monkeypatch.setattr(exporter._exposition, "render", broken)
        wait_until(lambda: health() == 503)
        assert exporter.text
    finally:
        exporter.stop()
        server.shutdown()
        server.server_close()

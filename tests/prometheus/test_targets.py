"""What a real Prometheus makes of targets that fail a scrape, or have more samples than they may."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest

from catwalk.cli.doctor import monitoring
from catwalk.cli.doctor.check import Unwell
from catwalk.clients.access import USER
from stack.ports import free_port
from stack.settings import tool
from tests.prometheus.rulebook import RULES
from tests.support.notifying import Alertmanager
from tests.support.servers import MONITORING_PASSWORD, wait_for_port, wait_until

pytestmark = pytest.mark.integration
LIMIT = 50
OUTAGES = 8
"""Scrapes that fail one by one, with good ones in between."""


class Target:
    """A page of metrics that can be changed; empty: it answers 503."""

    def __init__(self, text: str) -> None:
        self.text, self.asked, self.seconds = text, 0, 0.0
        target = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target.asked += 1
                time.sleep(target.seconds)
                self.send_response(200 if target.text else 503)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(target.text.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fail(self, scrapes: int) -> None:
        """Answers 503 to this number of scrapes."""
        text, self.text, before = self.text, "", self.asked
        wait_until(lambda: self.asked >= before + scrapes, f"{scrapes} scrapes")
        self.text = text

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Served(Protocol):
    """What is scraped."""

    port: int


def _told(alertmanager: Alertmanager) -> dict[str, Any]:
    return {
        "static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}],
        "basic_auth": {"username": USER, "password": MONITORING_PASSWORD},
    }


class Prometheus:
    """One with the committed rules, which are evaluated as often as the targets are scraped: each second."""

    def __init__(
        self, folder: Path, alertmanager: Alertmanager | None = None, limit: int = LIMIT, **targets: Served
    ) -> None:
        """
        Args:
            folder: for its configuration and data.
            alertmanager: The Alertmanager that gets the alerts.
            limit: The sample limit of a target.
            targets: name of a job → its target.
        """
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copytree(RULES, folder / "rules")
        jobs = [
            {"job_name": job, "sample_limit": limit, "static_configs": [{"targets": [f"127.0.0.1:{target.port}"]}]}
            for job, target in targets.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules/*.yml"],
            "scrape_configs": [{**job, "extra_scrape_metrics": True} for job in jobs],
            "alerting": {"alertmanagers": [_told(alertmanager)] if alertmanager else []},
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Starts or restarts it, with the data it had. After a restart, pending alerts keep their time (by default an
        alert waits for ten more minutes)."""
        command = [
            str(tool("prometheus")), f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}",
            "--rules.alert.for-grace-period=1s",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process, 60)
        wait_until(self._is_ready, "Prometheus is ready")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def ask(self, expression: str) -> dict[str, float]:
        """Labels, without those of the target, → value."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = json.load(answer)["data"]["result"]
        of_target = ("instance", "job", "__name__")
        return {
            ",".join(f"{name}={text}" for name, text in sorted(one["metric"].items()) if name not in of_target): float(
                one["value"][1]
            )
            for one in found
        }

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def page(samples: int) -> str:
    return "".join(f'ml_epoch_index{{run_id="a",model="mlp",epoch="{number}"}} 1\n' for number in range(samples))


@pytest.fixture
def statsd_exporter() -> Iterator[Target]:
    target = Target(page(LIMIT - 40))
    yield target
    target.stop()


@pytest.fixture
def exporter() -> Iterator[Target]:
    target = Target('catwalk_store_up 0\ncatwalk_dag_paused{dag_id="a"} 1\n')
    yield target
    target.stop()


@pytest.fixture
def prometheus(tmp_path: Path, statsd_exporter: Target, exporter: Target) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, statsd_exporter=statsd_exporter, exporter=exporter)
    yield server
    server.stop()


def test_an_alert_goes_on_over_lost_scrapes_and_ends_with_its_cause(prometheus: Prometheus, exporter: Target) -> None:
    firing = 'ALERTS{alertname="StoreUnavailable", alertstate="firing"}'
    for lost in range(OUTAGES):  # its `for` fills all the same
        exporter.fail(1)
        seen = exporter.asked
        wait_until(lambda seen=seen: exporter.asked > seen + 1, f"good scrapes after the {lost}th lost one")
    wait_until(lambda: prometheus.ask(firing), "it fires")
    exporter.fail(12)
    assert prometheus.ask('min_over_time(up{job="exporter"}[10s])') == {"": 0}
    # Had it ended once, it would have fewer samples than one that is always on.
    always = 'ALERTS{alertname="Watchdog", alertstate="firing"}'
    (through,), (every,) = (prometheus.ask(f"count_over_time({of}[10s])").values() for of in (firing, always))
    assert through >= every - 1 > 3
    assert prometheus.ask('exporter:dag_paused:held{dag_id="a"}') == {"dag_id=a": 1}
    exporter.text = "catwalk_store_up 1\n"
    wait_until(lambda: not prometheus.ask(firing), "it ends")
    wait_until(lambda: not prometheus.ask("exporter:dag_paused:held"), "what is no longer served is gone")


def said_by_the_doctor() -> tuple[str, str]:
    """Finding and remedy; both empty while all is well."""
    try:
        monitoring.targets()
    except Unwell as unwell:
        return unwell.finding, unwell.remedy
    return "", ""


def test_a_target_that_answers_too_late_is_told_as_that(
    prometheus: Prometheus, statsd_exporter: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", prometheus.url)
    statsd_exporter.seconds = 3.0
    wait_until(lambda: "context deadline exceeded" in said_by_the_doctor()[0], "a scrape ends before its answer")
    assert "statsd_exporter" in said_by_the_doctor()[0]
    assert "a target that answers too late" in said_by_the_doctor()[1]
    wait_until(lambda: prometheus.ask('ALERTS{alertname="StatsdExporterDown", alertstate="firing"}'), "it fires")


def test_a_target_beyond_its_limit_is_told_as_that(
    prometheus: Prometheus, statsd_exporter: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", prometheus.url)
    wait_until(lambda: prometheus.ask('job:sample_limit_used_ratio:max{job="statsd_exporter"}'))
    statsd_exporter.text = page(LIMIT + 7)
    wait_until(lambda: prometheus.ask("target:samples_beyond_limit:count") == {"": LIMIT + 7}, "how many there are")
    assert prometheus.ask('up{job="statsd_exporter"}') == {"": 0}
    over = "alertname=SampleLimitExceeded,alertstate=firing,area=telemetry,severity=critical"
    wait_until(lambda: prometheus.ask('ALERTS{alertname="SampleLimitExceeded", alertstate="firing"}') == {over: 1})
    assert prometheus.ask('ALERTS{alertname="StatsdExporterDown"}') == {}
    finding, remedy = said_by_the_doctor()
    assert finding.startswith("Prometheus has no metrics of statsd_exporter (")
    assert remedy == "see the runbook of SampleLimitExceeded"
    statsd_exporter.text = page(5)
    wait_until(lambda: not prometheus.ask("target:samples_beyond_limit:count"), "it is over")

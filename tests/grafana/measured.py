"""The data behind dashboards, small but real: exporter, statsd_exporter, and a Prometheus with the committed rules."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from catwalk.clients import access
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT, tool
from tests.grafana.asking import ask
from tests.grafana.promql import Query
from tests.support.servers import StatsdExporter, wait_for_port, wait_until

SCRAPE_SECONDS = 1
STOOD_IN_FOR = ("prometheus", "alertmanager", "courier")
"""Jobs that scrape Prometheus itself; tests only need a successful scrape of the other two."""


class Exporter:
    """An exporter started as users start it; can be stopped and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self, **environment: str) -> None:
        command = [sys.executable, "-m", "catwalk_exporter", "--port", str(self.port), "--refresh", "0.5"]
        every = {**os.environ, **environment}
        self.process = subprocess.Popen(command, cwd=PROJECT, env=every, stderr=subprocess.DEVNULL)
        wait_until(lambda: get(f"http://127.0.0.1:{self.port}/healthz") is not None, "the exporter has read S3")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def faster(folder: Path) -> Path:
    """A copy of the committed rules in which those that wait for a minute are evaluated each second."""
    rules = folder / "rules"
    rules.mkdir()
    for path in (PROJECT / "prometheus" / "rules").glob("*.yml"):
        (rules / path.name).write_text(path.read_text().replace("interval: 1m", "interval: 1s"))
    return rules


class Prometheus:
    """Scrapes each second, and evaluates the committed rules as often."""

    def __init__(self, folder: Path, targets: dict[str, int], rules: Path = PROJECT / "prometheus" / "rules") -> None:
        self.folder, self.port = folder, free_port()
        every = f"{SCRAPE_SECONDS}s"
        jobs = [
            {
                "job_name": job,
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                "sample_limit": 50_000,
                "extra_scrape_metrics": True,
            }
            for job, port in {**targets, **dict.fromkeys(STOOD_IN_FOR, self.port)}.items()
        ]
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(rules / "*.yml")],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.jobs = len(jobs)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            str(tool("prometheus")),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=400d",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)
        wait_until(lambda: get(f"{self.url}/-/ready") is not None, "Prometheus is ready")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        found = json.loads(access.fetch(url, timeout=30))["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def alerts(self) -> set[str]:
        """Names of the alerts that are pending or fire, without the Watchdog."""
        found = json.loads(access.fetch(f"{self.url}/api/v1/alerts", timeout=30))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in found} - {"Watchdog"}

    def scraped(self, since: float, but: Collection[str] = ()) -> bool:
        """Whether no scrape has failed since then, nor the last one before, of any job but these."""
        window = math.ceil(time.time() - since + SCRAPE_SECONDS)
        up = f'count(min_over_time(up{{job!~"{"|".join(but)}"}}[{window}s]) == 1) == {self.jobs - len(but)}'
        return bool(self.query(up))

    def settled(self, since: float) -> None:
        """Returns once rules have seen what was there at that time: every job has been scraped after it, or not.

        What one group of rules has recorded, another reads: each of them is evaluated, and then each of them again.
        """
        after = f"count(timestamp(up) > {since + 2 * SCRAPE_SECONDS}) == {self.jobs}"
        wait_until(lambda: self.query(after), "a scrape of every job")
        for _ in range(2):
            wait_until(partial(self._evaluated, time.time()), "an evaluation of every group of rules")

    def _evaluated(self, since: float) -> bool:
        """Whether all groups that are evaluated at every scrape have been, for a time after this one."""
        groups = json.loads(access.fetch(f"{self.url}/api/v1/rules", timeout=30))["data"]["groups"]
        last = (datetime.fromisoformat(each["lastEvaluation"]) for each in groups if each["interval"] <= SCRAPE_SECONDS)
        return min(last).timestamp() > since + SCRAPE_SECONDS  # a late evaluation is for up to a scrape before it


@dataclass
class Measured:
    """All of it."""

    folder: Path
    statsd_exporter: StatsdExporter
    exporter: Exporter = field(default_factory=Exporter)

    def __post_init__(self) -> None:
        targets = {"statsd_exporter": self.statsd_exporter.web_port, "exporter": self.exporter.port}
        self.prometheus = Prometheus(self.folder, targets)

    def stop(self) -> None:
        for part in (self.prometheus, self.exporter, self.statsd_exporter):
            part.stop()

    def settle(self) -> None:
        """Returns once Prometheus knows how things are now."""
        self.prometheus.settled(time.time())

    def send(self, *lines: str) -> None:
        """StatsD lines, as Airflow sends them."""
        with socket.create_connection(("127.0.0.1", self.statsd_exporter.port)) as connection:
            connection.sendall("".join(f"{line}\n" for line in lines).encode())

    def ask(self, query: Query, variables: dict[str, str], seconds: float, until: float) -> Any:
        """What Grafana would get for a query over a range."""
        return ask(self.prometheus.url, query, variables, until, seconds, SCRAPE_SECONDS)

"""Real servers for one test module: S3 and stores in it, and what it takes to start others."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import boto3
import pytest
from prometheus_client.parser import text_string_to_metric_families

from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from catwalk.telemetry.mapping import MAPPING
from catwalk.telemetry.wire.address import Address
from stack.ports import free_port
from stack.settings import tool

T = TypeVar("T")
PATIENCE = 180.0
"""Seconds to wait for something that takes two on an idle machine."""
Series = tuple[str, frozenset[tuple[str, str]]]
"""Name and labels."""
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


MONITORING_PASSWORD = "password of tests"
"""The password of every Alertmanager and courier that tests start by themselves."""


def wait_for_port(
    port: int, process: subprocess.Popen[bytes], seconds: float = PATIENCE, host: str = "127.0.0.1"
) -> None:
    """Returns once a process listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {port}")


def wait_until(
    condition: Callable[[], T], what: str = "what was asked for", seconds: float = PATIENCE, every: float = 0.1
) -> T:
    """Calls `condition` until it gives something true, and returns that; asks for half of the time at most.

    Args:
        condition: what is waited for.
        what: the same, in words.
        seconds: when to give up.
        every: seconds between two calls; longer if the condition itself takes longer, and after a while of waiting: to
            ask takes CPU time from what is waited for.
    """
    began = time.monotonic()
    deadline = began + seconds
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        assert now < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(max(every, min(now - asked, 5.0), min((now - began) / 20, 0.5)))


@dataclass
class Scrape:
    """One answer of statsd_exporter."""

    samples: dict[Series, float] = field(default_factory=dict)
    families: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Sample name → kind and help of its family."""

    @classmethod
    def of_text(cls, text: str) -> Scrape:
        """That of a metrics page."""
        result = cls()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                result.samples[sample.name, frozenset(sample.labels.items())] = sample.value
                result.families[sample.name] = family.type, family.documentation
        return result

    def total(self, name: str, **labels: str) -> float:
        """Sum over the samples of this name that have these labels."""
        wanted = labels.items()
        return sum(value for (found, has), value in self.samples.items() if found == name and wanted <= has)

    def of(self, *prefixes: str) -> dict[Series, float]:
        """The samples whose names begin so."""
        return {series: value for series, value in self.samples.items() if series[0].startswith(prefixes)}


def scraped(port: int) -> dict[str, str]:
    """Name → its last series, on the metrics page at a port of this machine; empty while nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    series = [line.rpartition(" ")[0] for line in lines if line and not line.startswith("#")]
    return {name.partition("{")[0]: name for name in series}


class StatsdExporter:
    """A statsd_exporter with the committed mapping, whose StatsD listens at a loopback address."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host, self.port, self.web_port = host, free_port(), free_port()
        self.address = Address(host, self.port)
        self.start()

    def start(self) -> None:
        listen = [
            f"--statsd.listen-udp={self.host}:{self.port}",
            f"--statsd.listen-tcp={self.host}:{self.port}",
            f"--web.listen-address=127.0.0.1:{self.web_port}",
        ]
        command = [str(tool("statsd_exporter")), *listen, f"--statsd.mapping-config={MAPPING}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self.process, host=self.host)
        wait_for_port(self.web_port, self.process)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def scrape(self) -> Scrape:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
        return Scrape.of_text(text)

    def wait(self, name: str, count: int) -> Scrape:
        """The first answer in which this many samples have names that begin so."""
        return self.until(lambda scrape: len(scrape.of(name)) >= count)

    def until(self, holds: Callable[[Scrape], bool]) -> Scrape:
        """The first answer of which this holds."""
        found = wait_until(
            lambda: scrape if holds(scrape := self.scrape()) else None, "what statsd_exporter was to show"
        )
        assert found is not None
        return found


@dataclass
class S3Server:
    """versitygw with its data in a folder; can be stopped and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _buckets: int = 0

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Returns once it answers. The options are versitygw's own."""
        data, side = self.folder / "data", self.folder / "side"
        for path in (data, side):
            path.mkdir(parents=True, exist_ok=True)
        command = [
            str(tool("versitygw")),
            "--port",
            f"127.0.0.1:{self.port}",
            "--quiet",
            *options,
            "posix",
            "--sidecar",
            str(side),
            str(data),
        ]
        secrets = {
            "ROOT_ACCESS_KEY": ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            "ROOT_SECRET_KEY": ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        }
        self._process = subprocess.Popen(
            command, env={**os.environ, **secrets}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port, self._process)

    def stop(self) -> None:
        """Ends it at once."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def bucket(self) -> str:
        """A new, empty bucket."""
        self._buckets += 1
        name = f"catwalk-{self._buckets}"
        boto3.client("s3").create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server a test module."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_store(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, to which the environment points too."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": s3_server.url}.items():
        monkeypatch.setenv(name, value)
    for name in ("CATWALK_STATSD", "CATWALK_AIRFLOW_URL", "CATWALK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    url = f"s3://{s3_server.bucket()}/runs of tests"
    monkeypatch.setenv("CATWALK_STORE", url)
    monkeypatch.setenv("CATWALK_TRAINABLE", "ml.fashion_mnist:CLASSIFIER")
    return S3Store(url)

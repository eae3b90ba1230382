"""Real servers for one test module: S3 and stores in it, and what it takes to start others."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest

from ml.store import Store
from stack.settings import tool

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Returns once a process listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {port}")


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for something to come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


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

    def start(self) -> None:
        """Returns once it answers."""
        data, side = self.folder / "data", self.folder / "side"
        for path in (data, side):
            path.mkdir(parents=True, exist_ok=True)
        command = [
            str(tool("versitygw")),
            "--port",
            f"127.0.0.1:{self.port}",
            "--quiet",
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
    return Store(url)

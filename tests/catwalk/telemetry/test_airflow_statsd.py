"""Airflow's own statistics through our client, to the real statsd_exporter."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from catwalk.environment.env_file import read
from catwalk.telemetry.airflow_statsd import AirflowClient, stat_name
from catwalk.telemetry.wire import address
from stack.settings import PROJECT
from tests.support.servers import Scrape, StatsdExporter, wait_until

METRICS = {
    name: value for name, value in read(PROJECT / "stack" / "catwalk.env").items() if name.startswith("AIRFLOW__METR")
}
"""What the stack configures Airflow's metrics with."""

SENDS = """
import json, sys
from airflow._shared.observability.metrics import stats
from airflow.observability.metrics.stats_utils import get_stats_factory

stats.initialize(factory=get_stats_factory(), export_legacy_names=False)
for method, name, value, tags in json.load(sys.stdin):
    getattr(stats, method)(name, value, tags=tags)
"""
"""Airflow's statistics as its processes set them up, from the configuration alone."""


@pytest.fixture
def exporter() -> Iterator[StatsdExporter]:
    exporter = StatsdExporter()
    yield exporter
    exporter.stop()


def send(exporter: StatsdExporter, home: Path, calls: list[tuple[str, str, Any, dict[str, str]]]) -> str:
    """Returns what Airflow has logged about it."""
    environment = {
        **os.environ,
        **METRICS,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(exporter.port),
    }
    command = [sys.executable, "-c", SENDS]
    done = subprocess.run(
        command, input=json.dumps(calls), text=True, env=environment, check=True, capture_output=True, cwd=PROJECT
    )
    return done.stdout + done.stderr


LONG = "d" * 250
SPACED = "a pool with spaces"
JAPANESE = "夜間の再訓練"


@pytest.mark.integration
def test_no_airflow_metric_is_lost_because_of_its_name(exporter: StatsdExporter, tmp_path: Path) -> None:
    """Airflow allows ids of 250 characters in any script, and any name for a pool."""
    identities = [{"dag_id": dag, "task_id": task} for dag in (LONG, JAPANESE, "größe") for task in (LONG, "生成.a-b")]
    calls: list[tuple[str, str, Any, dict[str, str]]] = [("incr", "ti.start", 1, tags) for tags in identities]
    calls += [("timing", "task.duration", 90_000.0, tags) for tags in identities]
    calls += [("gauge", "pool.open_slots", 7, {"pool_name": name}) for name in (SPACED, JAPANESE, "a:b|c#d[e]")]
    said = send(exporter, tmp_path, calls)
    assert "Invalid stat name" not in said
    scrape = wait_until(lambda: _with(exporter, "statsd_exporter_events_total", len(calls)))
    for tags in identities:
        assert scrape.total("airflow_ti_start_total", **tags) == 1
        assert scrape.total("airflow_task_duration_seconds_sum", **tags) == pytest.approx(90)
    for name in (SPACED, JAPANESE, "a%3Ab%7Cc%23d%5Be%5D"):
        assert scrape.total("airflow_pool_slots", pool_name=name) == 7
    for counter in ("sample_errors", "tag_errors", "events_error", "events_conflict", "events_unmapped"):
        assert scrape.total(f"statsd_exporter_{counter}_total") == 0


@pytest.mark.integration
def test_no_airflow_tag_breaks_the_exporter(exporter: StatsdExporter, tmp_path: Path) -> None:
    odd = {"dag_id": "a", "le": "5", "__name__": "x", "--a": "1", "": "nameless", "empty": "", "ä": "b"}
    send(exporter, tmp_path, [("timing", "task.duration", 1_000.0, odd), ("incr", "ti.start", 1, odd)])
    scrape = wait_until(lambda: _with(exporter, "statsd_exporter_events_total", 2))
    renamed = {"dag_id": "a", "exported_le": "5", "exported___name__": "x", "exported___a": "1"}
    assert scrape.total("airflow_ti_start_total", **renamed) == 1
    assert scrape.total("airflow_task_duration_seconds_count", **renamed) == 1
    assert scrape.total("statsd_exporter_tag_errors_total") == 0


def _with(exporter: StatsdExporter, counter: str, count: float) -> Scrape | None:
    scrape = exporter.scrape()
    return scrape if scrape.total(counter) >= count else None


def test_a_plain_name_stays_as_it_is() -> None:
    plain = "ti.finish,dag_id=fashion_training,task_id=train,state=success"
    assert stat_name(plain) == plain
    assert stat_name("scheduler_heartbeat") == "scheduler_heartbeat"


@contextmanager
def listener(host: str, port: int = 0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((host, port))
        receiver.settimeout(0.2)
        yield receiver


def hears(receiver: socket.socket, client: AirflowClient) -> bool:
    client.incr("scheduler_heartbeat")
    try:
        return receiver.recv(99) == b"airflow.scheduler_heartbeat:1|c"
    except TimeoutError:
        return False


def test_a_host_that_is_unknown_at_first_and_moves_later_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        if not known:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (known[0], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(address, "REFRESH_SECONDS", 0.05)
    with listener("127.0.0.2") as first, listener("127.0.0.3", first.getsockname()[1]) as second:
        client = AirflowClient("exporter", first.getsockname()[1], "airflow")
        assert not hears(first, client)
        known[:] = ["127.0.0.2"]
        wait_until(lambda: hears(first, client))
        known[:] = ["127.0.0.3"]
        wait_until(lambda: hears(second, client))
        client.close()


def test_losses_are_logged_once_and_raise_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with listener("127.0.0.1") as closed:
        port = closed.getsockname()[1]
    client = AirflowClient("127.0.0.1", port, "airflow")
    for _ in range(5):
        client.incr("ti.start")
        client.gauge("pool.open_slots", -1)
        client.timing("task.duration", 5)
    assert [record.getMessage() for record in caplog.records] == [
        f"metrics to 127.0.0.1:{port}: Connection refused. Retries continue; only this first loss is logged"
    ]
    client.close()


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import json, sys; import catwalk.telemetry.airflow_statsd; "
        "print([name for name in ('torch', 'airflow', 'boto3', 'yaml', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


SITE = """
import os, socket

_real = socket.getaddrinfo

def _from_file(host, *arguments, **named):
    if host != "exporter.test":
        return _real(host, *arguments, **named)
    try:
        with open(os.environ["TEST_HOST"]) as file:
            host = file.read().strip()
    except FileNotFoundError:
        raise socket.gaierror(-3, "Temporary failure in name resolution") from None
    return _real(host, *arguments, **named)

socket.getaddrinfo = _from_file
"""
"""A name server for one name; a file holds its answer."""


@pytest.mark.integration
def test_a_scheduler_keeps_sending_when_the_exporter_comes_late_and_moves(tmp_path: Path) -> None:
    """The name is unknown when Airflow starts, then known, then has another address."""
    host = tmp_path / "host"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    first, second = StatsdExporter("127.0.0.2"), StatsdExporter("127.0.0.3")
    assert first.port != second.port
    second.stop()
    second.port = first.port
    second.start()
    environment = {
        **os.environ,
        **METRICS,
        "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{PROJECT}",
        "TEST_HOST": str(host),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__METRICS__STATSD_HOST": "exporter.test",
        "AIRFLOW__METRICS__STATSD_PORT": str(first.port),
    }
    airflow = shutil.which("airflow", path=str(Path(sys.executable).parent))
    assert airflow
    subprocess.run([airflow, "db", "migrate"], env=environment, check=True, capture_output=True)
    command = [airflow, "scheduler", "--skip-serve-logs"]
    with (tmp_path / "log").open("wb") as log:
        scheduler = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: "the host's name could not be resolved" in (tmp_path / "log").read_text())
        for exporter, ip in ((first, "127.0.0.2"), (second, "127.0.0.3"), (first, "127.0.0.2")):
            before = exporter.scrape().total("airflow_scheduler_heartbeat_total")
            host.write_text(ip)
            wait_until(lambda e=exporter, b=before: e.scrape().total("airflow_scheduler_heartbeat_total") > b)
        assert scheduler.poll() is None
    finally:
        os.killpg(scheduler.pid, signal.SIGKILL)
        scheduler.wait()
        first.stop()
        second.stop()

"""A statsd_exporter that is alive but does not answer is restarted."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.environment.addresses import HOST
from catwalk.telemetry.mapping import MAPPING
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT, tool
from tests.conftest import running_stack
from tests.support.servers import StatsdExporter, wait_until

pytestmark = pytest.mark.integration

BREAKING = b"airflow.ti.start,dag_id=a,__name__=x:1|c"
ENDING = b"airflow.task.duration,dag_id=a,task_id=t,le=5:100|ms"


def send(port: int, line: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(line, (HOST, port))


@pytest.mark.parametrize("line", [BREAKING, ENDING])
def test_one_line_stops_statsd_exporter_only_for_a_moment(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_SECONDS", "0.5")
    with running_stack(["statsd_exporter"]) as stack:
        before, page = stack.process("statsd_exporter"), stack.settings.url("statsd_exporter") + "/metrics"
        send(stack.settings.ports["statsd"], line)
        wait_until(lambda: not before.is_running(), "it ends, by itself or by its guard")
        wait_until(lambda: get(page) is not None, "it is restarted")
        assert stack.process("statsd_exporter").pid != before.pid


def test_a_broken_statsd_exporter_counts_as_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_SECONDS", "3600")
    with running_stack(["statsd_exporter"]) as stack:
        show = [sys.executable, "-m", "stack", "status"]
        assert (
            subprocess.run(show, env=stack.environment, cwd=PROJECT, check=False, capture_output=True).returncode == 0
        )
        send(stack.settings.ports["statsd"], BREAKING)
        page = stack.settings.url("statsd_exporter") + "/metrics"
        wait_until(lambda: get(page) is None)
        assert get(stack.settings.url("statsd_exporter") + "/-/healthy") is not None, "otherwise this shows nothing"
        done = subprocess.run(show, env=stack.environment, cwd=PROJECT, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert "not healthy" in done.stdout
        doctor = [sys.executable, "-m", "catwalk", "doctor", "--json"]
        checks = json.loads(
            subprocess.run(doctor, env=stack.environment, cwd=PROJECT, check=False, capture_output=True).stdout
        )
        [canary] = [check for check in checks if check["part"] == "canary"]
        assert canary["verdict"] == "FAIL"
        assert '"__name__" is not a valid label name' in canary["finding"]


@pytest.fixture
def guarded() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A statsd_exporter behind its guard with a check that fails at once if a file is missing."""
    statsd, web = free_port(), free_port()
    command = [str(tool("statsd_exporter")), f"--web.listen-address={HOST}:{web}", f"--statsd.mapping-config={MAPPING}"]
    command += [f"--statsd.listen-udp={HOST}:{statsd}", f"--statsd.listen-tcp={HOST}:{statsd}"]
    asks = f"{sys.executable} -c 'import urllib.request as web; web.urlopen(\"http://{HOST}:{web}/metrics\")'"
    process = subprocess.Popen(
        ["/bin/sh", str(PROJECT / "stack" / "guard.sh"), asks, *command],
        env={**os.environ, "GUARD_SECONDS": "0.2"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield process, statsd
    process.kill()
    process.wait()


def test_statsd_exporter_replaces_the_guard_process_and_runs_while_it_answers(
    guarded: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, statsd = guarded
    wait_until(lambda: Path(f"/proc/{process.pid}/exe").resolve() == tool("statsd_exporter").resolve())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    [guard] = wait_until(lambda: children.read_text().split())
    asked = set()
    wait_until(
        lambda: asked.update(Path(f"/proc/{guard}/task/{guard}/children").read_text().split()) or len(asked) > 12
    )
    assert process.poll() is None, "six checks and more"
    send(statsd, BREAKING)
    assert process.wait(60) == 0, "after the request to end, it exited normally"
    wait_until(lambda: not Path(f"/proc/{guard}").exists(), "the guard exits with it")


OWN = [
    "go_goroutines",
    "go.goroutines",
    "go--goroutines",
    "process_open_fds",
    "statsd.exporter.lines_total",
    "promhttp_x",
]
MAPPED = [
    "airflow_ti_start_total",
    "airflow.ti_start.total",
    "ml_epoch_loss",
    "ml-epoch--loss",
    "airflow.task.duration_seconds",
]


@pytest.mark.parametrize("name", OWN + MAPPED)
def test_no_name_breaks_statsd_exporter(name: str) -> None:
    """Each name would become a second family with the same name, also of its own metrics, with another help text."""
    exporter = StatsdExporter()
    known = [b"airflow.ti.start,dag_id=a:1|c", b"ml.epoch.loss,run_id=a:1|g", b"airflow.task.duration,dag_id=a:1|ms"]
    try:
        for line in (*known, *(f"{name},odd=b:1|{kind}".encode() for kind in ("c", "g", "ms"))):
            send(exporter.port, line)
        wait_until(lambda: exporter.scrape().total("statsd_exporter_events_actions_total", action="drop") == 3)
        assert len(exporter.scrape().of("airflow_ti_start_total", "ml_epoch_loss")) == 2
    finally:
        exporter.stop()

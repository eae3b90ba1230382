"""Starting, stopping and surviving, with the real parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from catwalk.clients.courier import told
from catwalk.environment.addresses import HOST
from stack.configuration.environment import process_environment
from stack.native import control, starting
from stack.native.processes import processes
from stack.native.supervisor import Supervisor
from stack.parts.health import get, monitoring_password
from stack.parts.order import parts
from stack.ports import free_ports
from stack.settings import PROJECT, Settings, StackError
from tests.conftest import RunningStack, running_stack, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def settings() -> Iterator[Settings]:
    home = Path(tempfile.mkdtemp(prefix="catwalk-test-"))
    yield Settings(home, free_ports(), "1s")
    shutil.rmtree(home, ignore_errors=True)


def quiet(line: str) -> None:
    pass


def test_every_part_is_healthy_and_a_second_up_changes_nothing(stack: RunningStack) -> None:
    pids = stack.supervisor.processes()
    assert set(pids) == set(parts(stack.settings))
    assert control.up(stack.settings, say=quiet)
    assert stack.supervisor.processes() == pids


def test_status_shows_each_part_and_its_address(stack: RunningStack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stack", "status"],
        cwd=PROJECT,
        env=process_environment(stack.settings),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for part in parts(stack.settings).values():
        assert part.name in done.stdout
        assert part.url in done.stdout


def test_a_killed_part_is_restarted(services: RunningStack) -> None:
    before = services.process("statsd_exporter")
    before.kill()
    part = parts(services.settings)["statsd_exporter"]
    wait_until(
        lambda: services.supervisor.processes().get("statsd_exporter") not in (None, before.pid) and part.healthy(),
        "statsd_exporter back",
    )


def test_a_taken_port_is_one_line_with_port_and_part(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, settings.ports["prometheus"]))
        taken.listen()
        with pytest.raises(StackError) as caught:
            control.up(settings, ["s3", "prometheus"], say=quiet)
    message = str(caught.value)
    assert f"port {settings.ports['prometheus']} is in use" in message
    assert "prometheus needs it" in message
    assert "CATWALK_PORT_PROMETHEUS" in message
    assert processes(settings) == []


def test_a_taken_statsd_port_is_found_by_udp(settings: Settings) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, settings.ports["statsd"]))
        with pytest.raises(StackError, match="CATWALK_PORT_STATSD"):
            control.up(settings, ["statsd_exporter"], say=quiet)


def test_an_unknown_part_is_one_line(settings: Settings) -> None:
    with pytest.raises(StackError, match="there is no part 'promtheus'; the parts are s3"):
        control.up(settings, ["promtheus"], say=quiet)


def test_a_part_that_never_becomes_healthy_is_named_and_nothing_keeps_running(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "START_SECONDS", 5.0)
    (settings.home / "prometheus" / "data").mkdir(parents=True)
    (settings.home / "prometheus" / "data" / "wal").write_text("not a folder")
    with pytest.raises(StackError, match="prometheus is not healthy") as caught:
        control.up(settings, ["prometheus"], say=quiet)
    assert "\n" not in str(caught.value)
    assert processes(settings) == []


def test_two_stacks_run_side_by_side(services: RunningStack) -> None:
    with running_stack(["s3", "statsd_exporter"]) as second:
        assert set(second.supervisor.states().values()) == {"RUNNING"}
        assert {p.pid for p in processes(second.settings)}.isdisjoint(p.pid for p in processes(services.settings))
    assert set(services.supervisor.states().values()) == {"RUNNING"}


def test_down_leaves_no_process_even_those_that_left_their_group(settings: Settings) -> None:
    control.up(settings, ["s3", "statsd_exporter"], say=quiet)
    stray = subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"],
        cwd=settings.run,
        start_new_session=True,
    )
    started = time.monotonic()
    pids = [process.pid for process in processes(settings)]
    assert stray.pid in pids
    control.down(settings, say=quiet)
    assert time.monotonic() - started < 120, "30 s on an idle machine"
    stray.wait(timeout=60)
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    control.down(settings, say=quiet)  # again: nothing to do, no error


def test_the_next_start_works_after_a_killed_supervisor(settings: Settings) -> None:
    control.up(settings, ["s3"], say=quiet)
    orphan = parts(settings)["s3"]
    daemon = Supervisor(settings).pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: Supervisor(settings).pid() is None, "supervisor gone")
    assert orphan.healthy()
    control.up(settings, ["s3"], say=quiet)
    assert orphan.healthy()
    control.down(settings, say=quiet)
    assert processes(settings) == []


def test_a_planned_stop_is_announced_and_ends_with_the_next_start(settings: Settings) -> None:
    control.up(settings, ["alertmanager", "courier"], say=quiet)
    lines: list[str] = []
    control.down(settings, say=lines.append)
    assert lines[0] == "Alertmanager is silenced for 10 minutes, or until the next start"
    assert b"catwalk: planned stop" in (settings.home / "alertmanager" / "silences").read_bytes()
    control.up(settings, ["alertmanager", "courier"], say=quiet)
    silences = get(f"{settings.url('alertmanager')}/api/v2/silences", password=monitoring_password(settings))
    assert [silence["status"]["state"] for silence in json.loads(silences or b"")] == ["expired"]
    assert told(settings.url("courier"), 1)["deadman"]["state"] == "waiting"
    control.down(settings, say=quiet)


def test_an_invalid_receiver_stops_the_start(settings: Settings) -> None:
    (settings.home / "receivers").mkdir()
    (settings.home / "receivers" / "slack_url").write_text("")
    with pytest.raises(StackError, match="slack_url must contain a URL"):
        control.up(settings, ["alertmanager"], say=quiet)
    assert processes(settings) == []

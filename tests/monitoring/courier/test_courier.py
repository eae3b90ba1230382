"""The courier as a process: what it keeps, shows, refuses and survives."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.clients import access
from catwalk.telemetry import catalogue
from catwalk_courier.server import LARGEST_BODY
from stack.settings import PROJECT
from tests.support.notifying import RUN, CourierProcess, notification
from tests.support.servers import MONITORING_PASSWORD, PATIENCE, wait_until

pytestmark = pytest.mark.integration

KILLED_BEFORE_IT_ANSWERS = """
import os, signal, sys
from catwalk_courier import server
from catwalk_courier.__main__ import main
answer = server.Handler._answer
def die(self, status, body, kind):
    if self.command == "POST":
        os.kill(os.getpid(), signal.SIGKILL)
    answer(self, status, body, kind)
server.Handler._answer = die
sys.exit(main(sys.argv[1:]))
"""
"""The courier, killed when a notification is on the disk but Alertmanager has no answer yet."""


@pytest.fixture(scope="module")
def courier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CourierProcess]:
    courier = CourierProcess(tmp_path_factory.mktemp("courier"))
    yield courier
    courier.stop()


def names(courier: CourierProcess) -> list[tuple[str, str, int]]:
    """Returns alert, status and times of each notification, oldest first."""
    found = courier.told()["notifications"]
    return [(one["labels"]["alertname"], one["status"], one["times"]) for one in reversed(found)]


def test_killed_between_keeping_and_answering_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    courier = CourierProcess(tmp_path, "-c", KILLED_BEFORE_IT_ANSWERS)
    try:
        with pytest.raises(OSError, match=r"closed|reset"):
            courier.post(notification("PipelineRunFailed", run_id=RUN))
        assert courier.process.wait(PATIENCE) == -signal.SIGKILL
        courier.start()
        assert names(courier) == [("PipelineRunFailed", "firing", 1)]
        assert courier.post(notification("PipelineRunFailed", run_id=RUN)) == (200, "kept\n")  # Alertmanager's next try
        assert names(courier) == [("PipelineRunFailed", "firing", 2)]
    finally:
        courier.kill()


def test_many_kills_lose_nothing(tmp_path: Path) -> None:
    """It is killed at once after each answer; what it answered is there."""
    courier = CourierProcess(tmp_path)
    for number in range(3):
        assert courier.post(notification(f"Alert{number}"))[0] == 200
        courier.kill()
        courier.start()
    assert names(courier) == [(f"Alert{number}", "firing", 1) for number in range(3)]
    courier.kill()
    assert sqlite3.connect(tmp_path / "courier" / "courier.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_repeat_is_counted_not_kept_again(tmp_path: Path) -> None:
    courier = CourierProcess(tmp_path)
    for _ in range(3):
        assert courier.post(notification("StoreSlow", severity="warning"))[0] == 200
    assert courier.post(notification("StoreSlow", "resolved", severity="warning"))[0] == 200
    assert names(courier) == [("StoreSlow", "firing", 3), ("StoreSlow", "resolved", 1)]
    metrics = courier.get("/metrics")
    courier.kill()
    assert 'catwalk_courier_stored_total{status="firing"} 1.0' in metrics
    assert 'catwalk_courier_duplicates_total{status="firing"} 2.0' in metrics
    assert 'catwalk_courier_notifications_total{status="resolved"} 1.0' in metrics


def test_an_alert_that_fires_after_its_end_is_firing_whatever_restarts(tmp_path: Path) -> None:
    """Alertmanager does so, with the previous start, if Prometheus was late: see prometheus/alertmanager#952."""
    courier = CourierProcess(tmp_path)
    ends = {"firing": "", "first": "2026-11-23T03:12:00Z", "second": "2026-11-23T03:41:00Z"}

    def tell(what: str) -> None:
        message = notification("StoreUnavailable", what if what == "firing" else "resolved", end=ends[what])
        assert courier.post(message)[0] == 200

    def page() -> tuple[str, str]:
        """Returns what is firing, and the history."""
        firing, _, told = courier.get("/").partition("Notification history")
        assert "Alertmanager does not answer" in firing
        return firing, told

    try:
        for what in ("firing", "first", "first", "firing", "first", "firing"):
            tell(what)
        assert names(courier) == [
            ("StoreUnavailable", "firing", 1),
            ("StoreUnavailable", "resolved", 3),
            ("StoreUnavailable", "firing", 2),
        ]
        courier.kill()
        courier.start()
        firing, told = page()
        assert "StoreUnavailable happened" in firing
        assert "No alerts are firing" not in firing
        assert (told.count(", firing"), told.count("resolved after 56 s")) == (1, 1)
        tell("firing")
        tell("second")
        tell("second")
        firing, told = page()
        assert "No alerts are firing" in firing
        assert (told.count(", firing"), told.count("resolved after")) == (0, 2)
        assert [end for one in courier.told()["notifications"] if (end := one["ends_at"])] == [
            ends["second"],
            ends["first"],
        ]
        metrics = courier.get("/metrics")
        for family, status, number in (
            ("notifications", "firing", 1),
            ("duplicates", "firing", 1),
            ("stored", "firing", 0),
            ("notifications", "resolved", 2),
            ("stored", "resolved", 1),
            ("duplicates", "resolved", 1),
        ):
            assert f'catwalk_courier_{family}_total{{status="{status}"}} {number}.0' in metrics
    finally:
        courier.kill()


def test_the_page_leaves_out_no_firing_alert(tmp_path: Path) -> None:
    courier = CourierProcess(tmp_path)
    try:
        assert courier.post(notification("StoreUnavailable"))[0] == 200
        over = [notification(f"Over{number}", "resolved")["alerts"][0] for number in range(300)]
        assert courier.post({**notification("Over"), "alerts": over})[0] == 200
        assert "StoreUnavailable happened" in courier.get("/").partition("Notification history")[0]
        found = json.loads(courier.get("/api/notifications?limit=10"))["notifications"]
        assert "StoreUnavailable" in {one["labels"]["alertname"] for one in found}
    finally:
        courier.kill()


def test_it_exports_what_the_catalogue_says_and_nothing_else(courier: CourierProcess) -> None:
    exported = re.findall(r"^# TYPE (\S+) (\S+)$", courier.get("/metrics"), re.MULTILINE)
    own = [(name, kind) for name, kind in exported if not name.startswith("process_")]
    assert own == [(metric.name, metric.kind) for metric in catalogue.by_transport("courier")]


def test_it_says_when_it_began(courier: CourierProcess) -> None:
    """An alert uses it to find a process that keeps restarting."""
    [began] = re.findall(r"^process_start_time_seconds (\S+)$", courier.get("/metrics"), re.MULTILINE)
    assert time.time() - 600 < float(began) < time.time() + 1


@pytest.mark.parametrize(
    ("body", "kind", "complaint"),
    [
        (b"not JSON", "application/json", "not JSON"),
        (b"{}", "application/json", "version"),
        (b'{"version": "4", "alerts": []}', "text/plain", "Content-Type"),
        (b" " * (LARGEST_BODY + 1), "application/json", "8,000,000 are allowed"),
    ],
)
def test_bad_input_is_one_line(courier: CourierProcess, body: bytes, kind: str, complaint: str) -> None:
    try:
        status, text = courier.post(body, kind=kind)
    except OSError:  # it answers at once and reads no eight megabytes; some clients give up then
        assert len(body) > LARGEST_BODY
        return
    assert status == 400
    assert complaint in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("path", ["/alertmanager", "/planned-stop", "/test-callouts"])
@pytest.mark.parametrize(
    "authorization", ["", "Basic", access.header(""), access.header("catwalk"), "Bearer " + MONITORING_PASSWORD]
)
def test_no_one_can_forge_a_watchdog_or_a_planned_stop(courier: CourierProcess, path: str, authorization: str) -> None:
    kept, state = len(courier.told()["notifications"]), courier.state()
    forged = notification("Watchdog", severity="none", forged="yes")
    body = {"/planned-stop": {"seconds": 600}, "/test-callouts": {}}.get(path, forged)
    status, text = courier.post(body, path, authorization=authorization)
    assert (status, text.count("\n")) == (401, 1)
    assert (len(courier.told()["notifications"]), courier.state()) == (kept, state)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"seconds": -1}', b'{"seconds": true}', b'{"seconds": 1e9}', b"[1]"])
def test_an_invalid_planned_stop_is_refused(courier: CourierProcess, body: bytes) -> None:
    status, text = courier.post(body, "/planned-stop")
    assert (status, text.count("\n")) == (400, 1)


def test_pages_contain_no_markup_from_others_and_nothing_from_elsewhere(courier: CourierProcess) -> None:
    hostile = notification("ModelPlateaued", severity='"><script>alert(1)</script>', run_id=RUN)
    hostile["alerts"][0]["annotations"] |= {"summary": "<img src=x>", "dashboard": "javascript:alert(1)"}
    assert courier.post(hostile)[0] == 200
    page = courier.get("/")
    assert "&lt;img src=x&gt;" in page
    assert "<script" not in page
    assert "javascript:" not in page
    assert f'href="http://127.0.0.1:9180/runs/{RUN}"' in page
    assert "Alertmanager does not answer" in page
    assert not re.search(r"<(link|img|script|iframe)\b", page)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/runbooks/", 200),
        ("/api/notifications?limit=1", 200),
        ("/api/notifications?limit=none", 200),
        ("/runbooks/../../docs/gate.md", 404),
        ("/runbooks/%2e%2e/secrets", 404),
        ("/nothing", 404),
    ],
)
def test_addresses(courier: CourierProcess, path: str, status: int) -> None:
    try:
        with urllib.request.urlopen(f"{courier.url}{path}", timeout=PATIENCE) as answer:
            found = answer.status
            if path.startswith("/api"):
                json.load(answer)
    except urllib.error.HTTPError as error:
        found = error.code
    assert found == status


def test_a_taken_port_and_a_bad_setting_are_one_line(courier: CourierProcess, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "catwalk_courier", "--port", str(courier.port)]
    for environment, complaint in (
        ({}, f"port {courier.port} on 127.0.0.1 is in use"),
        ({"CATWALK_MONITORING_PASSWORD": ""}, "CATWALK_MONITORING_PASSWORD is not set"),
        ({"CATWALK_DEADMAN_SECONDS": "soon"}, "CATWALK_DEADMAN_SECONDS must be"),
        ({"CATWALK_GRAFANA_URL": "grafana", "CATWALK_GRAFANA_TOKEN": "x"}, "CATWALK_GRAFANA_URL must be a URL"),
    ):
        given = {"PATH": "/usr/bin:/bin", "CATWALK_HOME": str(tmp_path), "CATWALK_MONITORING_PASSWORD": "x"}
        given |= environment
        done = subprocess.run(
            command, cwd=PROJECT, env=given, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert complaint in done.stderr


def test_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    courier = CourierProcess(tmp_path)
    courier.process.terminate()
    assert courier.process.wait(10) == 0
    wait_until(lambda: "Traceback" not in courier.log.read_text(), "no traceback")

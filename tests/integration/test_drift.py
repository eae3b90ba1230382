"""Traffic that rotates, with real servers all the way: from the pictures that a model gets to the courier."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from catwalk.assets.drift_windows import DriftWindows
from catwalk.clients.courier import told
from stack.ports import free_port
from tests.conftest import RunningStack, running_stack
from tests.support.servers import wait_until
from tests.support.traffic import command

pytestmark = pytest.mark.integration

PARTS = ["prometheus", "alertmanager", "courier"]
WINDOWS = DriftWindows(hour=8, day=24)
ALERT = "ServiceInputDrifted"


@pytest.fixture(scope="module")
def chain() -> Iterator[RunningStack]:
    """Its rules use 8 seconds for an hour, and 24 for a day."""
    with running_stack(PARTS, windows=WINDOWS) as running:
        yield running


@contextmanager
def traffic(model: str, corruption: str, port: int) -> Iterator[None]:
    """Starts a hundred predictions a second, and waits for the first."""
    process = command("traffic", model, "--rate", "100", "--corruption", corruption, "--port", str(port))
    try:
        assert process.stdout and process.stdout.readline().endswith(f"http://127.0.0.1:{port}/metrics\n")
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def notifications(chain: RunningStack) -> list[dict[str, Any]]:
    """Returns the alert's notifications in the courier, oldest first."""
    kept = told(chain.settings.url("courier"), 1_000)["notifications"]
    return [one for one in reversed(kept) if one["labels"]["alertname"] == ALERT]


def alerting(chain: RunningStack, state: str) -> bool:
    """Returns whether the alert was in this state at any time."""
    return bool(chain.query(f'last_over_time(ALERTS{{alertname="{ALERT}", alertstate="{state}"}}[1h])'))


@pytest.mark.timeout(600)
def test_rotated_pictures_reach_the_courier_and_so_does_their_end(chain: RunningStack, small_champion: str) -> None:
    port = free_port()
    (chain.settings.home / "prometheus" / "targets" / "services.yml").write_text(f'- targets: ["127.0.0.1:{port}"]\n')
    with traffic(small_champion, "none", port):
        enough = 'min(model:service_feature:examples{side="input", window="day"}) >= 1500'
        wait_until(lambda: chain.query(enough), "a day of clean traffic")
        assert not alerting(chain, "pending") and not alerting(chain, "firing")
    times = [time.monotonic()]
    with traffic(small_champion, "rotation", port):
        times.append(time.monotonic())
        wait_until(lambda: alerting(chain, "pending"), "the alert is pending")
        times.append(time.monotonic())
        wait_until(lambda: alerting(chain, "firing"), "the alert is firing")
        times.append(time.monotonic())
        [firing] = wait_until(lambda: notifications(chain), "the notification in the courier")
        times.append(time.monotonic())
    assert (firing["status"], firing["labels"]["model"]) == ("firing", small_champion)
    assert firing["annotations"]["summary"] == f"{small_champion}: the inputs of the service have drifted"
    assert re.search(
        r"The worst feature is (border|orientation), in the last (hour|day)", firing["annotations"]["description"]
    )
    with traffic(small_champion, "none", port):
        times.append(time.monotonic())
        wait_until(lambda: len(notifications(chain)) > 1, "the end in the courier")
        times.append(time.monotonic())
        wait_until(lambda: not chain.query(f'ALERTS{{alertname="{ALERT}"}}'), "the alert is over")
    assert [one["status"] for one in notifications(chain)] == ["firing", "resolved"]
    told_of = ("turned traffic starts", "pending", "firing", "the courier knows", "clean traffic starts", "resolved")
    for what, before, after in zip(told_of, times, times[1:], strict=False):
        print(f"{what}: {after - before:.1f} s")

"""Prometheus, Alertmanager and courier together: the path of the Watchdog, and what happens when it breaks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catwalk.clients.alertmanager import ActiveAlert, active_alerts
from catwalk.clients.courier import told
from stack.native import control
from stack.parts.health import get, monitoring_password
from stack.settings import PROJECT
from tests.conftest import RunningStack, running_stack, wait_until

pytestmark = pytest.mark.integration

PARTS = ["prometheus", "alertmanager", "courier"]
WATCHDOG = """
groups:
  - name: alive
    rules:
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: none}
        annotations: {runbook_url: "{{ $externalLabels.runbooks }}/Watchdog"}
"""


@pytest.fixture(scope="module")
def called() -> Iterator[Path]:
    """A file that gets one line for each callout."""
    with tempfile.TemporaryDirectory(prefix="catwalk-test-") as folder:
        yield Path(folder) / "called"


@pytest.fixture(scope="module")
def chain(called: Path) -> Iterator[RunningStack]:
    settings = {
        "CATWALK_DEADMAN_SECONDS": "15",  # a busy machine may delay the Watchdog, which comes every two seconds
        "CATWALK_CALLOUT_COMMAND": f"echo $CATWALK_CALLOUT_EVENT >> {called}",
        "CATWALK_GRAFANA_URL": "https://grafana.example.test",
    }
    with running_stack(PARTS, settings) as running:
        if not any("alert: Watchdog" in path.read_text() for path in (PROJECT / "prometheus" / "rules").glob("*.yml")):
            (running.settings.home / "prometheus" / "rules" / "alive.yml").write_text(WATCHDOG)
            running.stop("prometheus")
            running.start("prometheus")
        yield running


def _state(chain: RunningStack) -> str:
    return str(told(chain.settings.url("courier"), 1)["deadman"]["state"])


def _watchdog(chain: RunningStack) -> ActiveAlert | None:
    with chain.as_environment():
        found = active_alerts(chain.settings.url("alertmanager"))
    return next((alert for alert in found if alert.labels["alertname"] == "Watchdog"), None)


def test_the_watchdog_arrives_and_links_begin_as_the_environment_says(chain: RunningStack) -> None:
    wait_until(lambda: _state(chain) == "well", "the Watchdog is heard")
    watchdog = _watchdog(chain)
    assert watchdog is not None
    courier = chain.settings.url("courier")
    assert {name: watchdog.labels[name] for name in ("stack", "runbooks", "grafana", "exporter")} == {
        "stack": "catwalk",
        "runbooks": f"{courier}/runbooks",
        "grafana": "https://grafana.example.test",
        "exporter": chain.settings.url("exporter"),
    }
    assert watchdog.annotations["runbook_url"] == f"{courier}/runbooks/Watchdog"


def test_prometheus_scrapes_the_courier(chain: RunningStack) -> None:
    wait_until(lambda: chain.query('catwalk_courier_deadman_state{job="courier", state="well"} == 1'), "its state")


def test_an_alertmanager_that_stops_causes_one_callout_and_so_does_its_return(
    chain: RunningStack, called: Path
) -> None:
    wait_until(lambda: _state(chain) == "well", "the Watchdog is heard")
    before = called.read_text().splitlines() if called.exists() else []

    def calls() -> list[str]:
        return called.read_text().splitlines()[len(before) :] if called.exists() else []

    chain.supervisor.stop("alertmanager")
    wait_until(lambda: calls() == ["silent"], "called out")
    control.up(chain.settings, PARTS, say=lambda line: None)
    wait_until(lambda: calls() == ["silent", "recovered"], "called out again")


def test_a_planned_stop_makes_no_callout(chain: RunningStack, called: Path) -> None:
    wait_until(lambda: _state(chain) == "well", "the Watchdog is heard")
    before = called.read_text() if called.exists() else ""
    control.down(chain.settings, say=lambda line: None)
    control.up(chain.settings, PARTS, say=lambda line: None)
    wait_until(lambda: _state(chain) == "well", "the Watchdog is heard")
    assert (called.read_text() if called.exists() else "") == before
    silences = get(
        f"{chain.settings.url('alertmanager')}/api/v2/silences", password=monitoring_password(chain.settings)
    )
    assert {silence["status"]["state"] for silence in json.loads(silences or b"")} == {"expired"}


def test_a_prometheus_that_pauses_ends_an_alert_and_begins_it_again(chain: RunningStack, called: Path) -> None:
    """Alertmanager resolves an alert that was not repeated for 40 s, and then sends it with the previous start."""
    wait_until(lambda: _state(chain) == "well", "the Watchdog is heard")

    def watchdog() -> list[dict[str, Any]]:
        """Returns its notifications since it last started, oldest first."""
        kept = told(chain.settings.url("courier"), 1_000)["notifications"]
        mine = [one for one in reversed(kept) if one["labels"]["alertname"] == "Watchdog"]
        return [one for one in mine if one["starts_at"] == mine[-1]["starts_at"]]

    def statuses() -> list[str]:
        return [one["status"] for one in watchdog()]

    before = statuses()
    prometheus = chain.process("prometheus")
    prometheus.suspend()
    try:
        wait_until(lambda: statuses() == [*before, "resolved"], "Alertmanager resolves the alert")
    finally:
        prometheus.resume()
    wait_until(lambda: statuses() == [*before, "resolved", "firing"], "it is firing again, with the same start")
    first, end, again = watchdog()[-3:]
    assert first["began"] == end["began"] < again["began"]
    assert (first["ends_at"], again["ends_at"]) == ("", "")
    wait_until(lambda: called.exists() and called.read_text().endswith("recovered\n"), "called out meanwhile")

"""Annotations through grafana-api.

No real Grafana is available here. A stand-in answers as Grafana's HTTP API is documented, and refuses what that
documentation does not allow.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catwalk.clients.episodes import Alert
from catwalk.clients.grafana import Grafana, GrafanaError, GrafanaRefusedError
from catwalk.errors import ConfigError
from catwalk_courier.delivery.annotations import annotation, identity
from catwalk_courier.payload import parse
from tests.support.notifying import LINKS, RUN, CourierProcess, Listener, notification
from tests.support.servers import wait_until

TOKEN = "glsa_test"


class StandIn:
    """Answers health, search and annotations as documented."""

    def __init__(self) -> None:
        self.annotations: list[dict[str, Any]] = []
        self.fails: list[int] = []
        """Statuses for the next write requests; 599: written, but the answer is lost."""
        self.listener = Listener(self._answer)
        self.url = self.listener.url

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        parts = urllib.parse.urlsplit(path)
        query = urllib.parse.parse_qs(parts.query)
        if parts.path == "/api/health":
            return 200, {"commit": "x", "database": "ok", "version": "12.4.1"}
        if self.listener.received[-1][3].get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthorized"}
        if parts.path == "/api/search":
            return 200, [
                {"uid": "catwalk-home", "type": "dash-db"},
                {"uid": "catwalk-runs", "type": "dash-db"},
                {"uid": "a-folder", "type": "dash-folder"},
            ]
        if parts.path == "/api/annotations" and method == "GET":
            return 200, [one for one in self.annotations if set(query["tags"]) <= set(one["tags"])]
        if parts.path == "/api/annotations" and method == "POST":
            return self._write(body)
        return 404, {"message": "Not found"}

    def _write(self, body: Any) -> tuple[int, Any]:
        status = self.fails.pop(0) if self.fails else 200
        if status not in (200, 599):
            return status, {"message": "no"}
        if not body.get("text"):
            return 400, {"message": "Failed to save annotation: text is empty"}
        assert isinstance(body["time"], int), "milliseconds"
        self.annotations.append(body)
        if status == 599:
            return 500, {"message": "written anyway"}
        return 200, {"message": "Annotation added", "id": len(self.annotations)}


@pytest.fixture
def grafana() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.listener.stop()


def test_version_and_dashboards(grafana: StandIn) -> None:
    api = Grafana(grafana.url, TOKEN)
    assert api.version() == "12.4.1"
    assert api.dashboards() == {"catwalk-home", "catwalk-runs"}


def test_an_annotation_says_what_when_and_where_to_look(grafana: StandIn) -> None:
    message = notification("ModelLossNotFinite", severity="warning", area="model", model="mlp", run_id=RUN)
    message["alerts"][0]["annotations"]["summary"] = "<b>NaN</b>"
    (alert,) = parse(json.dumps(message).encode()).alerts
    Grafana(grafana.url, TOKEN).annotate(**annotation(alert, alert.started))
    (written,) = grafana.annotations
    assert written["tags"] == [
        "catwalk",
        "ModelLossNotFinite",
        "firing",
        "warning",
        "model",
        "mlp",
        RUN,
        identity(alert, alert.started),
    ]
    assert (written["time"], written["timeEnd"]) == (1_795_403_464_123, None)
    assert "&lt;b&gt;NaN&lt;/b&gt;" in written["text"]
    assert f'<a href="{LINKS["runbooks"]}/ModelLossNotFinite">' in written["text"]


def test_each_beginning_and_each_end_has_a_tag_of_its_own() -> None:
    firing = Alert("aa", "2026-11-23T03:11:04Z", "firing", {}, {})
    ends = [replace(firing, status="resolved", ends_at=f"2026-11-23T03:1{minute}:00Z") for minute in (2, 3)]
    tags = [identity(alert, began) for alert in (firing, *ends) for began in (firing.started, 1_795_500_000.0)]
    assert len({*tags}) == 6
    assert identity(firing, None) == "catwalk-b683b28b0421ca78", (
        "as the first version tagged annotations that still wait"
    )


def test_an_episode_that_began_again_is_marked_from_there() -> None:
    (alert,) = parse(json.dumps(notification("StoreSlow", "resolved", end="2026-11-24T00:00:00Z")).encode()).alerts
    assert annotation(alert, 1_795_404_000.0)["start"] == 1_795_404_000.0
    assert annotation(alert, None)["start"] == alert.started


def test_an_end_marks_the_whole_time() -> None:
    (alert,) = parse(json.dumps(notification("StoreSlow", "resolved")).encode()).alerts
    found = annotation(alert, alert.started)
    assert (found["start"], found["end"]) == (pytest.approx(1_795_403_464.12), pytest.approx(1_795_405_264.1))


def test_errors_say_what_to_do(grafana: StandIn) -> None:
    with pytest.raises(GrafanaError, match="correct CATWALK_GRAFANA_TOKEN"):
        Grafana(grafana.url, "wrong").dashboards()
    with pytest.raises(GrafanaRefusedError, match="text is empty"):
        Grafana(grafana.url, TOKEN).annotate("", [], 1.0)
    with pytest.raises(GrafanaError, match="does not answer"):
        Grafana("http://127.0.0.1:1", TOKEN).version()
    with pytest.raises(GrafanaError, match="Not found"):
        Grafana(f"{grafana.url}/elsewhere", TOKEN).version()
    for url in ("127.0.0.1:3000", "http://127.0.0.1:3000 # ours", "http://127.0.0.1:port", "http://"):
        with pytest.raises(ConfigError, match="CATWALK_GRAFANA_URL must be a URL"):
            Grafana(url, TOKEN)


def test_the_doctor_checks_it(grafana: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    from catwalk.cli.doctor import monitoring
    from catwalk.cli.doctor.check import Unwell

    monkeypatch.setenv("CATWALK_GRAFANA_URL", grafana.url)
    monkeypatch.delenv("CATWALK_GRAFANA_TOKEN", raising=False)
    with pytest.raises(Unwell, match="CATWALK_GRAFANA_TOKEN is not set") as skipped:
        monitoring.grafana()
    assert skipped.value.verdict == "WARN"
    monkeypatch.setenv("CATWALK_GRAFANA_TOKEN", TOKEN)
    assert monitoring.grafana() == f"Grafana 12.4.1 at {grafana.url} has catwalk-home, catwalk-runs"


@pytest.mark.integration
def test_the_courier_annotates_once_though_grafana_fails_loses_answers_and_the_courier_is_killed(
    grafana: StandIn, tmp_path: Path
) -> None:
    grafana.fails = [500, 503, 599]
    courier = CourierProcess(tmp_path, CATWALK_GRAFANA_URL=grafana.url, CATWALK_GRAFANA_TOKEN=TOKEN)
    try:
        courier.hear()
        for _ in range(3):
            assert courier.post(notification("StoreSlow", severity="warning"))[0] == 200
        wait_until(lambda: 'pending_deliveries{channel="grafana"} 0.0' in courier.get("/metrics"), "delivered")
        assert [one["tags"][1:3] for one in grafana.annotations] == [["StoreSlow", "firing"]]
        assert 'deliveries_total{channel="grafana",outcome="failed"} 3.0' in courier.get("/metrics")
        grafana.fails = [500] * 1000
        assert courier.post(notification("StoreSlow", "resolved", severity="warning"))[0] == 200
        wait_until(lambda: len(grafana.fails) < 999, "a try that fails")
        courier.kill()
        grafana.fails = []
        courier.start()
        wait_until(lambda: len(grafana.annotations) == 2, "delivered after the kill")
        assert grafana.annotations[1]["timeEnd"] > grafana.annotations[1]["time"]
        grafana.fails = [400]
        assert courier.post(notification("Odd", severity="warning"))[0] == 200
        wait_until(lambda: "gave up" in courier.log.read_text(), "the courier gave up")
        assert 'pending_deliveries{channel="grafana"} 0.0' in courier.get("/metrics")
        assert len(grafana.annotations) == 2, "and never the Watchdog"
    finally:
        courier.kill()

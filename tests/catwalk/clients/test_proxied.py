"""Clients of the parts, and the courier, if the caller's environment names a proxy for everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.clients import access, airflow_health
from catwalk.clients.airflow_api import AirflowApi
from catwalk.clients.grafana import Grafana
from tests.support.between import Proxy
from tests.support.notifying import CourierProcess, Listener, eventually
from tests.support.servers import wait_until


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    proxy = Proxy()
    for name, value in {**proxy.environment(), "NO_PROXY": "", "no_proxy": ""}.items():
        monkeypatch.setenv(name, value)
    yield proxy
    proxy.stop()


@pytest.fixture
def part() -> Iterator[Listener]:
    """Answers as Airflow, Grafana and Prometheus would, for the requests in this test."""
    healthy = {name: {"status": "healthy"} for name in airflow_health.COMPONENTS}
    answer = {"access_token": "t", "database": "ok", "version": "12", "dags": [], **healthy}
    part = Listener(lambda method, path, body: (200, [] if path.endswith("/alerts") else answer))
    yield part
    part.stop()


def test_no_password_for_a_part_reaches_the_proxy(proxy: Proxy, part: Listener) -> None:
    access.fetch(part.url, timeout=10, password="secret")
    assert AirflowApi(part.url, "admin", "secret").dags() == {}
    assert all(airflow_health.ask(part.url).values())
    assert Grafana(part.url, "token").version() == "12"
    assert len(part.received) == 5
    assert proxy.seen == []


@pytest.mark.integration
def test_the_courier_calls_out_through_the_proxy_and_reaches_parts_without(
    proxy: Proxy, part: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers = tmp_path / "receivers"
    receivers.mkdir()
    (receivers / "webhook_url").write_text("http://hooks.example.com/catwalk\n")
    courier = CourierProcess(
        tmp_path,
        CATWALK_ALERTMANAGER_URL=part.url,
        CATWALK_HEARTBEAT_URL="http://beat.example.com/on",
        CATWALK_HEARTBEAT_SECONDS="0.2",
        CATWALK_DEADMAN_SECONDS="5",
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # for what follows; the courier started without it
    try:
        courier.hear()
        wait_until(lambda: "http://beat.example.com/on" in [asked.path for asked in proxy.seen], "a heartbeat")
        courier.get("/")
        eventually(courier, "silent")
        wait_until(lambda: "http://hooks.example.com/catwalk" in [asked.path for asked in proxy.seen], "a callout")
        wait_until(lambda: courier.log.read_text().count(f"(through the proxy {proxy.url})") >= 2, "two named errors")
    finally:
        courier.stop()
    assert [path for _, path, *_ in part.received] == ["/api/v2/alerts"]
    assert {asked.path.split("/")[2] for asked in proxy.seen} == {"beat.example.com", "hooks.example.com"}

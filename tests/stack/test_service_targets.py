"""Models in service that Prometheus reads from a file, which their owner may change while it runs."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from catwalk.clients import access
from stack.native.rendering import render
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import Settings, tool
from tests.support.servers import wait_for_port, wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(tmp_path / "home", interval="1s")
    found.run.mkdir(parents=True)
    render(found)
    return found


def targets(settings: Settings) -> Path:
    return settings.home / "prometheus" / "targets" / "services.yml"


def test_a_start_names_no_service_and_keeps_those_that_a_user_has_named(settings: Settings) -> None:
    assert json.loads(targets(settings).read_text()) == []
    targets(settings).write_text('- targets: ["churn:9100"]\n')
    render(settings)
    assert targets(settings).read_text() == '- targets: ["churn:9100"]\n'


@pytest.mark.integration
def test_a_running_prometheus_scrapes_a_service_as_soon_as_it_is_named(settings: Settings, tmp_path: Path) -> None:
    registry, port = CollectorRegistry(), free_port()
    Gauge("catwalk_service_info", "Stands in for a monitor.", ["model"], registry=registry).labels("churn").set(1)
    server, _ = start_http_server(0, "127.0.0.1", registry)
    command = [
        str(tool("prometheus")),
        f"--config.file={settings.home / 'prometheus' / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, cwd=settings.run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        wait_until(lambda: get(f"http://127.0.0.1:{port}/-/ready") is not None, "Prometheus is ready")
        wait_until(lambda: asked(port, 'up{job="prometheus"}'), "it scrapes")
        assert asked(port, 'up{job="services"}') == []
        targets(settings).write_text(f'- targets: ["127.0.0.1:{server.server_port}"]\n')
        wait_until(lambda: asked(port, 'catwalk_service_info{job="services", model="churn"}'), "it scrapes the service")
    finally:
        process.terminate()
        process.wait(30)
        server.shutdown()
        server.server_close()


def asked(port: int, selector: str) -> list[object]:
    body = access.fetch(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(selector)}", timeout=30)
    return list(json.loads(body)["data"]["result"])

"""The health checks of Airflow's containers, run against a real Airflow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RunningStack
from tests.stack.compose_project import load
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

PARTS = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")


def test_they_pass_while_it_is_healthy_and_fail_without_it(stack: RunningStack, tmp_path: Path) -> None:
    services = load(tmp_path)["services"]

    def passes(name: str, base: str, extra: tuple[str, ...] = ()) -> bool:
        words = list(services[name]["healthcheck"]["test"])
        assert words[:3] == ["CMD", "python", "-c"]
        url = words[4].replace("http://airflow-api-server:8080", base).replace("http://127.0.0.1:8080", base)
        command = [sys.executable, "-c", words[3], url, *words[5:], *extra]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    base = stack.settings.url("airflow")
    for name in PARTS:
        wait_until(lambda name=name: passes(name, base), f"{name} is healthy")
    assert not passes("airflow-api-server", base, ("no_such_component",))
    assert not passes("airflow-scheduler", "http://127.0.0.1:9")

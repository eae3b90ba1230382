"""A stack, its tasks and its command line, started from a shell that names a proxy and another S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.storage.opening import open_store
from stack import demo, first_start
from stack.configuration.environment import client_environment
from stack.settings import PROJECT
from tests.conftest import SERVICES, RunningStack, running_stack, wait_until
from tests.support.between import Proxy

pytestmark = pytest.mark.integration
AWS = {
    "AWS_SESSION_TOKEN": "of another S3",
    "AWS_PROFILE": "prod",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_ENDPOINT_URL": "http://s3.example.com",
    "AWS_DEFAULT_REGION": "eu-west-3",
    "AWS_CA_BUNDLE": "/nowhere",
}


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def shell(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The caller's whole environment."""
    home = tmp_path_factory.mktemp("home")
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("[default]\ns3 =\n  use_accelerate_endpoint = true\n[broken\n")
    return {"PATH": os.environ["PATH"], "HOME": str(home), **proxy.environment(), **AWS}


@pytest.fixture(scope="module")
def hostile(shell: dict[str, str]) -> Iterator[RunningStack]:
    """What `make up` starts in that shell, without Airflow; this process has that environment, too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "CATWALK_")) or name.endswith("_PROXY")]:
            patch.delenv(name)
        for name, value in {**shell, "NO_PROXY": "", "no_proxy": ""}.items():
            patch.setenv(name, value)
        with running_stack(SERVICES) as stack:
            yield stack


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=500, check=False
    )


def test_the_stack_starts_and_no_part_of_it_reaches_the_proxy(hostile: RunningStack, proxy: Proxy) -> None:
    up = lambda: hostile.query("catwalk_store_up")  # noqa: E731
    wait_until(lambda: [value for _, value in up()] == [1.0], "the exporter reads S3, and Prometheus the exporter")
    assert proxy.seen == []


@pytest.mark.parametrize("variables", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "everything"])
def test_the_command_line_finds_the_stack(
    hostile: RunningStack, proxy: Proxy, shell: dict[str, str], variables: str
) -> None:
    named = {
        name: value for name, value in shell.items() if variables in ("everything", name) or "PROXY" not in name.upper()
    }
    client = {**named, "CATWALK_HOME": str(hostile.settings.home)}
    listed = run([str(PROJECT / ".venv" / "bin" / "catwalk"), "runs", "--json"], client)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert json.loads(listed.stdout) == []
    assert proxy.seen == []


def test_the_doctor_finds_every_part(hostile: RunningStack, proxy: Proxy, shell: dict[str, str]) -> None:
    client = {**shell, "CATWALK_HOME": str(hostile.settings.home)}
    parts = {"store", "conditional writes", "canary", "exporter", "prometheus", "targets", "alertmanager"}

    def well() -> bool:
        done = run([str(PROJECT / ".venv" / "bin" / "catwalk"), "doctor", "--json"], client)
        found = {check["part"]: check for check in json.loads(done.stdout)}
        assert found["airflow"]["verdict"] == "FAIL", "none runs"
        return {part for part in parts if found[part]["verdict"] == "OK"} == parts

    wait_until(well, "every part is well")
    assert proxy.seen == []


def test_a_task_finds_the_stack(hostile: RunningStack, proxy: Proxy) -> None:
    script = (
        "from catwalk.storage.opening import open_store; store = open_store(); store.check(); print(store.endpoint)"
    )
    done = run([sys.executable, "-c", script], hostile.environment)
    assert (done.stdout, done.stderr) == (f"{hostile.settings.url('s3')}\n", "")
    assert proxy.seen == []


def test_the_requests_of_the_demo_are_answered(hostile: RunningStack, proxy: Proxy) -> None:
    assert first_start.create_bucket("catwalk", client_environment(hostile.settings)) is False
    with hostile.as_environment():
        assert not AWS.keys() & os.environ.keys()
        open_store().check()
        assert demo.points_stored(hostile.settings, "none") == 0
    assert proxy.seen == []


def test_a_shell_that_evaluates_the_environment_is_a_client(
    hostile: RunningStack, proxy: Proxy, shell: dict[str, str], tmp_path: Path
) -> None:
    names = " ".join(f'"${{{name}-}}"' for name in (*AWS, "no_proxy"))
    command = f'eval "$({sys.executable} -m stack env)" && printf "%s|" {names} && catwalk runs'
    ports = {f"CATWALK_PORT_{name.upper()}": str(port) for name, port in hostile.settings.ports.items()}
    environment = {
        **shell,
        **ports,
        "PATH": f"{PROJECT / '.venv' / 'bin'}:{shell['PATH']}",
        "CATWALK_HOME": str(hostile.settings.home),
    }
    done = run(["sh", "-c", command], environment)
    assert done.returncode == 0, done.stderr
    *aws, no_proxy = done.stdout.split("|")[: len(AWS) + 1]
    assert set(aws) == {""}
    assert no_proxy == "127.0.0.1,localhost,::1"
    assert proxy.seen == []

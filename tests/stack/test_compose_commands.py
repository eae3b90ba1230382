"""Containers' own command lines, run on this machine as docker-compose.yaml has them, until their health checks pass.

Only a container's surroundings are replaced: its mounts lie below a folder, and its addresses are free ports here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catwalk.clients import access
from catwalk.environment import env_file
from catwalk.environment.parts import home
from stack.ports import free_port, free_ports
from stack.settings import PROJECT, tool
from tests.stack.compose_project import in_repository, load
from tests.support.servers import scraped, wait_until

pytestmark = pytest.mark.integration

SERVERS = {
    "versitygw": "versitygw",
    "statsd-exporter": "statsd_exporter",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
}
"""Service → program that its image starts with the service's command as arguments."""


class Containers:
    """The project's services as processes of this machine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.project = load(folder / "project")
        self.secrets = env_file.read(folder / "project" / ".env")
        ports = free_ports()
        self.ports = {
            ("versitygw", 7070): ports["s3"],
            ("statsd-exporter", 9125): ports["statsd"],
            ("statsd-exporter", 9102): ports["statsd_exporter"],
            ("prometheus", 9090): ports["prometheus"],
            ("alertmanager", 9093): ports["alertmanager"],
            ("exporter", 9180): ports["exporter"],
            ("courier", 9181): ports["courier"],
            ("airflow-api-server", 8080): ports["airflow"],
            ("redis", 6379): free_port(),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def service(self, name: str) -> dict[str, Any]:
        return dict(self.project["services"][name])

    def _mount(self, name: str) -> Path:
        """Returns the service's own root folder with its mounts; a volume is the same folder for all services."""
        root = self.root / name
        for mount in self.service(name).get("volumes", ()):
            target = root / mount["target"].lstrip("/")
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if mount["type"] == "volume":
                volume = self.root / "volumes" / mount["source"]
                volume.mkdir(parents=True, exist_ok=True)
                target.symlink_to(volume)
                continue
            source = in_repository(mount["source"], self.root.parent / "project")
            if source == home({}) / "receivers":  # whatever this machine's owner has there
                target.mkdir()
            elif source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)
        for file in root.rglob("*.yml"):
            if not file.is_symlink():
                file.write_text(self._here(file.read_text(), name, root))
        return root

    def _here(self, text: str, name: str, root: Path) -> str:
        """Returns a text of the service `name` with this machine's addresses and paths."""
        for (host, port), here in self.ports.items():
            text = text.replace(f"{host}:{port}", f"127.0.0.1:{here}")
            if host == name:
                text = re.sub(rf"(?:127\.0\.0\.1|(?<![\w.:])):{port}\b", f"127.0.0.1:{here}", text)
                text = re.sub(rf"^((?:port )?){port}$", rf"\g<1>{here}", text, flags=re.MULTILINE)
        for mount in self.service(name).get("volumes", ()):
            text = re.sub(rf"(?<![\w/.]){mount['target']}\b", str(root / mount["target"].lstrip("/")), text)
        return text

    def command(self, name: str, words: list[str]) -> tuple[list[str], dict[str, str]]:
        """Returns the service's command line as it runs here, and its environment."""
        root = self._mount(name)
        words = [self._here(word, name, root).replace("0.0.0.0", "127.0.0.1") for word in words]
        words = [word.replace("bind * -::*", "bind 127.0.0.1") for word in words]
        ours = {
            key: self._here(value, name, root) for key, value in (self.service(name).get("environment") or {}).items()
        }
        ours.setdefault("CATWALK_HOME", str(root / "var" / "lib" / "catwalk"))  # as the image sets it
        return words, {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}", "HOME": str(root), **ours}

    def run(self, name: str, words: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a service that ends, or other commands in its place."""
        command, environment = self.command(name, words or self.service(name)["command"])
        return subprocess.run(
            command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=500, check=False
        )

    def start(self, name: str) -> None:
        """Starts a service; returns at once."""
        program = [str(tool(SERVERS[name]))] if name in SERVERS else []
        entrypoint = self.service(name).get("entrypoint") or []
        if entrypoint:  # a guard, with busybox' wget in the image
            asks = shlex.join([sys.executable, "-c", "import sys, urllib.request as web; web.urlopen(sys.argv[1])"])
            entrypoint = [word.replace("wget -q -T 30 -O /dev/null", asks) for word in entrypoint[:-1]]
        command, environment = self.command(name, entrypoint + program + self.service(name)["command"])
        with (self.root / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=log, stderr=log)

    def check(self, name: str) -> bool:
        """Returns whether the service's own health check passes."""
        kind, *words = self.service(name)["healthcheck"]["test"]
        process = self.processes[name]
        assert process.poll() is None, f"{name} has ended: {(self.root / f'{name}.log').read_text()[-2000:]}"
        words, environment = self.command(name, ["sh", "-c", *words] if kind == "CMD-SHELL" else words)
        if words[0] == "wget":  # busybox' in the image
            assert words[1:4] == ["-q", "-O", "/dev/null"]
            return status(words[4]) == 200
        if words[0] in ("promtool", "amtool"):
            words[0] = str(tool(words[0]))
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode == 0

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def status(url: str, password: str = "") -> int:
    """Returns the status of an answer; 0 if there is none."""
    try:
        access.fetch(url, timeout=10, password=password)
        return 200
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """Starts configure, the four servers, airflow-init's bucket, the exporter and the courier, in the order of
    depends_on.
    """
    running = Containers(tmp_path_factory.mktemp("containers"))
    try:
        configured = running.run("configure")
        assert configured.returncode == 0, configured.stderr
        for name in SERVERS:
            running.start(name)
        wait_until(lambda: running.check("versitygw"), "versitygw is healthy")
        # Returns the commands after `airflow db migrate`, which needs PostgreSQL.
        shell, _, line = running.service("airflow-init")["command"]
        assert line.startswith("airflow db migrate && ")
        begun = running.run("airflow-init", [shell, "-c", line.removeprefix("airflow db migrate && ")])
        assert begun.returncode == 0, begun.stderr
        for name in ("exporter", "courier"):
            running.start(name)
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("name", [*SERVERS, "exporter", "courier"])
def test_the_command_line_runs_and_the_health_check_passes(containers: Containers, name: str) -> None:
    wait_until(lambda: containers.check(name), f"{name} is healthy")


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_only_the_right_password_gives_access(containers: Containers, name: str) -> None:
    wait_until(lambda: containers.check(name), f"{name} is healthy")
    port = containers.service(name)["ports"][0]["target"]
    url = f"http://127.0.0.1:{containers.ports[name, port]}/-/ready"
    assert status(url) == 401
    assert status(url, "wrong") == 401
    assert status(url, containers.secrets["CATWALK_MONITORING_PASSWORD"]) == 200


def test_prometheus_reaches_every_target_with_the_containers_own_files(containers: Containers) -> None:
    url = f"http://127.0.0.1:{containers.ports['prometheus', 9090]}/api/v1/query?query=up"
    password = containers.secrets["CATWALK_MONITORING_PASSWORD"]

    def up() -> dict[str, str]:
        try:
            result = json.loads(access.fetch(url, timeout=10, password=password))["data"]["result"]
        except OSError:
            return {}
        return {series["metric"]["job"]: series["value"][1] for series in result}

    jobs = ("statsd_exporter", "exporter", "courier", "alertmanager", "prometheus")
    wait_until(lambda: up() == dict.fromkeys(jobs, "1"), "every job is up")


def test_the_first_start_creates_the_bucket_and_airflows_password(containers: Containers) -> None:
    shell, _, line = containers.service("airflow-init")["command"]
    again = containers.run("airflow-init", [shell, "-c", line.removeprefix("airflow db migrate && ")])
    assert "bucket catwalk exists" in again.stdout
    passwords = containers.root / "volumes" / "airflow-auth" / "passwords.json"
    assert json.loads(passwords.read_text()) == {"admin": containers.secrets["CATWALK_AIRFLOW_PASSWORD"]}
    assert passwords.stat().st_mode & 0o777 == 0o600
    port = containers.ports["exporter", 9180]
    wait_until(lambda: "catwalk_store_up" in scraped(port), "the exporter has read the bucket")


def test_the_exporter_links_to_what_people_open(containers: Containers) -> None:
    port = containers.ports["exporter", 9180]
    wait_until(lambda: "catwalk_links_info" in scraped(port), "the exporter has answered")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        links = dict(re.findall(r'^catwalk_links_info{name="(\w+)",url="(.*?)"}', answer.read().decode(), re.MULTILINE))
    assert links["airflow"] == "http://127.0.0.1:8080"
    assert links["grafana"] == "http://127.0.0.1:3000"


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="Redis is not installed")
def test_redis_wants_its_password_and_shows_it_nowhere(containers: Containers) -> None:
    containers.start("redis")
    port = str(containers.ports["redis", 6379])
    _, environment = containers.command("redis", [])
    password = environment["REDISCLI_AUTH"]

    def ask(secret: str) -> str:
        command = ["redis-cli", "-p", port, "ping"]
        done = subprocess.run(command, env={**environment, "REDISCLI_AUTH": secret}, capture_output=True, text=True)
        return done.stdout + done.stderr

    wait_until(lambda: "PONG" in ask(password), "Redis answers")
    assert "PONG" not in ask("")
    assert "PONG" not in ask("wrong")
    process = containers.processes["redis"].pid
    assert password not in Path(f"/proc/{process}/cmdline").read_text()


def test_the_catwalk_command_finds_the_ledger(containers: Containers) -> None:
    service = containers.service("catwalk")
    done = containers.run("catwalk", [*service["entrypoint"], "runs", "--json"])
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr

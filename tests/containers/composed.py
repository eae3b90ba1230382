"""The stack of docker-compose.yaml in a container engine, beside whatever else runs there.

It has a project, a tag of the image, volumes, ports and a checkout of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catwalk.environment import env_file
from catwalk.environment.addresses import port_variable
from catwalk.ledger.runs import Ledger
from catwalk.storage.opening import open_store
from ml.fashion_mnist.dataset import dataset_root
from stack import web_config
from stack.configuration import credentials
from stack.parts.health import access_folders
from stack.ports import free_ports
from stack.settings import PROJECT, Settings
from tests.conftest import LEAP_DAYS, RunningStack
from tests.containers.engine import Engine
from tests.support.servers import wait_until

REAL = (dataset_root() / "FashionMNIST" / "raw").is_dir()
"""Whether the real dataset is here; it is downloaded by no test."""
TAG = "test"
ONCE = {"configure", "airflow-init"}
SECONDS = 900.0
"""A start, at most; on a busy machine six processes of Airflow's take long."""


@dataclass(frozen=True)
class ComposedStack(RunningStack):
    """A running project, which tests watch from this machine as they do a native stack."""

    engine: Engine
    folder: Path
    """Its checkout."""
    project: str
    seconds: dict[str, float] = field(default_factory=dict)
    """What was measured: build, up."""

    def compose(self, *arguments: str, seconds: float = SECONDS, text: str | None = None) -> str:
        """What ``docker compose`` prints, called as people call it: in the checkout."""
        done = self.attempt(*arguments, seconds=seconds, text=text)
        assert done.returncode == 0, f"compose {' '.join(arguments)}: {(done.stdout + done.stderr)[-5000:]}"
        return done.stdout

    def attempt(
        self, *arguments: str, seconds: float = SECONDS, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it."""
        ours = ["compose", "--project-directory", str(self.folder), "--project-name", self.project]
        return self.engine.attempt(*ours, *arguments, seconds=seconds, text=text)

    def catwalk(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``docker compose run --rm catwalk …``."""
        return self.attempt("run", "--rm", "-T", "catwalk", *arguments)

    def up(self, *services: str) -> None:
        """Starts what does not run, and waits until all of it is healthy."""
        started = time.monotonic()
        done = self.attempt("up", "--detach", "--wait", "--wait-timeout", str(int(SECONDS)), *services)
        assert done.returncode == 0, done.stderr[-3000:] + self.trouble()
        self.seconds["up"] = time.monotonic() - started

    def trouble(self) -> str:
        """The states of all containers, and the last words of those that are not well."""
        ill = [one for one in self.containers() if one["State"].get("Health", {}).get("Status", "healthy") != "healthy"]
        ended = [one for one in self.containers() if one["State"]["ExitCode"] and not one["State"]["Running"]]
        words = [self.engine.attempt("logs", "--tail", "30", one["Id"]) for one in (*ill, *ended)]
        return "\n".join([self.compose("ps", "--all"), *(word.stdout + word.stderr for word in words)])

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """The output of ``docker inspect`` for the containers of some services, or of all."""
        ids = self.compose("ps", "--all", "--quiet", *services).split()
        return list(json.loads(self.engine.run("inspect", *ids))) if ids else []

    def container(self, service: str) -> dict[str, Any]:
        """The only one of a service."""
        [found] = self.containers(service)
        return found

    def said(self, service: str, since: float = 0) -> str:
        """What a service's containers have logged since a Unix time."""
        return self.compose("logs", "--no-color", "--since", str(int(since)), service)

    def healthy(self, service: str) -> bool:
        return all(one["State"].get("Health", {}).get("Status") == "healthy" for one in self.containers(service))

    def stop(self, part: str) -> None:
        self.compose("stop", part)

    def start(self, part: str) -> None:
        self.compose("start", part)
        wait_until(lambda: self.healthy(part), f"{part} is healthy", SECONDS)

    def address(self, service: str, network: str) -> str:
        """The address of a service in a network; this machine reaches all networks."""
        networks = self.container(service)["NetworkSettings"]["Networks"]
        return str(networks[f"{self.project}_{network}"]["IPAddress"])

    @property
    def ledger(self) -> Ledger:
        """Its runs. S3 has no published port, and gets another address whenever its container is recreated."""
        os.environ["AWS_ENDPOINT_URL_S3"] = f"http://{self.address('versitygw', 'back')}:7070"
        return Ledger(open_store())


def service(container: dict[str, Any]) -> str:
    """The name in docker-compose.yaml of what ``docker inspect`` describes."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def lasting(stack: ComposedStack) -> list[dict[str, Any]]:
    """The containers that run on."""
    return [one for one in stack.containers() if service(one) not in ONCE]


def checkout(folder: Path) -> None:
    """A copy of what git has or would add, readable by its owner alone, as a hardened machine's umask makes it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = PROJECT / name, folder / name
        if source.is_file():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o600)
    subprocess.run([sys.executable, "-m", "stack.compose"], cwd=folder, check=True, capture_output=True, umask=0o077)


def torch_backend() -> str:
    """`cpu` where PyTorch's own index of CPU builds can be reached, else `pypi`."""
    [torch] = [line for line in (PROJECT / "requirements.txt").read_text().splitlines() if line.startswith("torch==")]
    uv = [str(PROJECT / ".venv" / "bin" / "uv"), "pip", "install", "--dry-run", "--no-deps", "--reinstall"]
    command = [*uv, "--torch-backend", "cpu", "--python", sys.executable, torch]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "pypi"
    return "pypi" if done.returncode else "cpu"


@contextmanager
def composed(engine: Engine, left_out: Iterable[str], **own: str) -> Iterator[ComposedStack]:
    """A project with two workers that is not started yet. When this ends, only its image is left.

    Args:
        engine: where it runs.
        left_out: profiles.
        own: more lines of its `.env`.
    """
    folder = Path(tempfile.mkdtemp(prefix="catwalk-containers-"))
    settings = Settings(folder / "client", free_ports())
    stack = ComposedStack(settings, engine, folder / "checkout", folder.name)
    try:
        checkout(stack.folder)
        lines = {
            **{port_variable(name): str(port) for name, port in settings.ports.items()},
            "COMPOSE_PROFILES": ",".join(sorted({"s3", "monitoring", "grafana", "serve"} - set(left_out))),
            "CATWALK_VERSION": TAG,
            "CATWALK_WORKER_COUNT": "2",
            "CATWALK_PARALLELISM": "4",
            "CATWALK_SCHEDULE": LEAP_DAYS,
            "CATWALK_CALLOUT_COMMAND": "true",
            **({"CATWALK_DATASETS": str(dataset_root())} if REAL else {}),
            **own,
        }
        with (stack.folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in lines.items())
        (stack.folder / "prometheus" / "targets.containers" / "serve.yml").write_text('- targets: ["serve:9183"]\n')
        become_watcher(stack)
        yield stack
    finally:
        stack.attempt("--profile", "cli", "down", "--volumes", "--remove-orphans")
        shutil.rmtree(folder, ignore_errors=True)


def become_watcher(stack: ComposedStack) -> None:
    """Leaves the project's secrets where helpers for native stacks look for them."""
    home, known = stack.settings.home, env_file.read(stack.folder / ".env")
    secrets = {name: known[name] for name in credentials.generate()}
    home.mkdir()
    credentials.write_private(home / "secrets.env", secrets)
    alertmanager = access_folders(stack.settings)["alertmanager"]
    credentials.write_private_text(alertmanager / web_config.PASSWORD_FILE, secrets["CATWALK_MONITORING_PASSWORD"])

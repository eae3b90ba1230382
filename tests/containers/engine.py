"""The container engine of the tests: the one that answers here, else one of their own, started as root where asked for.

``TEST_ENGINE=start`` asks for it. Its images stay in `.tools/engine`, so that a later start has them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.bootstrap import TOOLS, find_go
from tests.support.servers import wait_until

ASKED = "TEST_ENGINE"
COMPOSE_NEEDED = (2, 20)
COMPOSE = "github.com/docker/compose/v2@v2.36.2"
"""Built where the engine's client has no plugin; later ones want buildx beside them."""
ROOM = 20 * 2**30
"""Bytes free that images, build cache and volumes need at most."""


class NoEngineError(Exception):
    """Why containers can't be tested here."""


@dataclass(frozen=True)
class Engine:
    """Where an engine is, and how its client is called."""

    environment: dict[str, str]
    folder: Path
    """Where it keeps its data."""

    def run(self, *arguments: str, seconds: float = 120, text: str | None = None) -> str:
        """What ``docker`` prints; fails with what it complained of."""
        done = self.attempt(*arguments, seconds=seconds, text=text)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def attempt(
        self, *arguments: str, seconds: float = 120, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it."""
        return subprocess.run(
            ["docker", *arguments],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def has(self, image: str) -> bool:
        return self.attempt("image", "inspect", image).returncode == 0


@contextmanager
def engine() -> Iterator[Engine]:
    """The one that answers, or one that lives as long as this.

    Raises:
        NoEngineError: there is none, and none can be started.
    """
    if not shutil.which("docker"):
        raise NoEngineError("docker can't be found; install Docker")
    if _answers(dict(os.environ)):
        yield _ready(dict(os.environ))
        return
    if os.environ.get(ASKED) != "start":
        raise NoEngineError(f"no container engine answers; start Docker, or set {ASKED}=start to let tests start it")
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        raise NoEngineError("a container engine is started as root, with dockerd on the PATH")
    folder = (TOOLS / "engine").resolve()  # containers start in no folder that a symbolic link leads to
    folder.mkdir(parents=True, exist_ok=True)
    with _started(folder) as environment:
        yield _ready(environment)


def _answers(environment: dict[str, str]) -> bool:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@contextmanager
def _started(folder: Path) -> Iterator[dict[str, str]]:
    socket = f"unix://{folder}/socket"
    environment = {**os.environ, "DOCKER_HOST": socket}
    places = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    (folder / "pid").unlink(missing_ok=True)
    with (folder / "log").open("wb") as log:
        # It ends with the tests even where these are killed: a second one could not use its folder.
        command = ["setpriv", "--pdeathsig", "TERM", "dockerd", "--host", socket, *places]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def answers() -> bool:
            if process.poll() is not None:
                told = (folder / "log").read_text(errors="replace").splitlines()[-1:]
                raise NoEngineError(f"dockerd ends at once: {' '.join(told)}")
            return _answers(environment)

        wait_until(answers, "dockerd answers")
        yield environment
    finally:
        process.terminate()
        process.wait(120)


def _ready(environment: dict[str, str]) -> Engine:
    """The engine, with a compose plugin that is new enough and room for what comes."""
    described = subprocess.run(
        ["docker", "info", "--format", "{{.DockerRootDir}}"],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    folder = Path(described.stdout.strip())
    if not folder.is_dir():
        raise NoEngineError("the container engine runs on another machine, which mounts no folder of this one")
    if (free := shutil.disk_usage(folder).free) < ROOM:
        raise NoEngineError(f"{folder} has {free / 2**30:.0f} GiB free; images and volumes need {ROOM / 2**30:.0f}")
    if compose_version(environment) < COMPOSE_NEEDED:
        environment = _with_plugin(environment)
    return Engine(environment, folder)


def compose_version(environment: dict[str, str]) -> tuple[int, int]:
    """The version of the compose plugin; (0, 0) if there is none."""
    done = subprocess.run(
        ["docker", "compose", "version"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r"v?(\d+)\.(\d+)", done.stdout) if done.returncode == 0 else None
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _with_plugin(environment: dict[str, str]) -> dict[str, str]:
    """An environment whose client finds a plugin built from its Go module, once.

    A copy of the module is built, as a module that required it would not see what its go.mod replaces.
    """
    config = TOOLS / f"docker-compose-{COMPOSE.rpartition('@')[2]}"
    plugin = config / "cli-plugins" / "docker-compose"
    if not plugin.exists():
        go, source = find_go(), config / "source"
        told = subprocess.run(
            [go, "mod", "download", "-json", COMPOSE], cwd="/", capture_output=True, text=True, check=False
        )
        module = re.search(r'"Dir": "(.+)"', told.stdout)
        if told.returncode or not module:
            raise NoEngineError(f"Docker has no compose plugin, and its Go module can't be had: {told.stdout.strip()}")
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(module[1], source, copy_function=shutil.copyfile)
        for path in (source, *source.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
        module_path, _, version = COMPOSE.partition("@")
        named = f"-ldflags=-X {module_path}/internal.Version={version}"
        build = [go, "build", "-trimpath", "-buildvcs=false", named, "-o", str(plugin), "./cmd"]
        subprocess.run(build, cwd=source, env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}, check=True)
        shutil.rmtree(source)
    return {**environment, "DOCKER_CONFIG": str(config)}

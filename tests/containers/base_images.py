"""The images that our own begin with and run beside: the official ones where they can be pulled, else stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.sbom import images, python_image
from stack.settings import tool
from tests.containers.engine import Engine, NoEngineError

STAND_INS = Path(__file__).parent / "stand_ins"
DEBIAN = "debian:trixie-slim"
NO_STAND_IN = {"grafana"}
"""Services that Debian has no package for, nor we a module."""
SERVERS = ("versitygw", "statsd_exporter", "prometheus", "promtool", "alertmanager", "amtool")
LABEL = "catwalk.stand-in"


@contextmanager
def base_images(engine: Engine) -> Iterator[set[str]]:
    """Sees to it that each is there; gives the services that have to be left out.

    Names of stand-ins go when this ends, so that nothing else takes them for the official images. Their layers stay in
    the engine's cache.
    """
    wanted = {"python": python_image(), **images()}
    lacking = {name: image for name, image in wanted.items() if not engine.has(image)}
    if lacking and _pulls(engine, lacking):
        lacking = {name: image for name, image in lacking.items() if not engine.has(image)}
    made = {name: image for name, image in lacking.items() if name not in NO_STAND_IN}
    try:
        if made:
            _make(engine, made)
        yield lacking.keys() & NO_STAND_IN
    finally:
        if made:
            engine.attempt("image", "rm", "--no-prune", *made.values())


def _pulls(engine: Engine, wanted: dict[str, str]) -> bool:
    """Whether a registry answered, in which case all that it has are pulled."""
    try:
        answers = engine.attempt("manifest", "inspect", wanted[min(wanted)], seconds=30).returncode == 0
    except subprocess.TimeoutExpired:
        answers = False
    return answers and all(engine.attempt("pull", image, seconds=600).returncode == 0 for image in wanted.values())


def _make(engine: Engine, wanted: dict[str, str]) -> None:
    """Builds stand-ins: service → the name it gets."""
    if not engine.has(DEBIAN):
        _debian(engine)
    with tempfile.TemporaryDirectory(prefix="catwalk-stand-ins-") as folder:
        context = Path(folder)
        shutil.copytree(STAND_INS, context, dirs_exist_ok=True)
        shutil.copy(os.environ.get("SSL_CERT_FILE") or _certificates(), context / "ca-certificates.crt")
        for server in SERVERS:
            shutil.copy2(tool(server), context)
        services = {
            name: {"image": image, "build": {"context": folder, "target": name, "labels": {LABEL: "yes"}}}
            for name, image in wanted.items()
        }
        (context / "compose.json").write_text(json.dumps({"name": "catwalk-stand-ins", "services": services}))
        engine.run("compose", "--file", f"{folder}/compose.json", "build", seconds=1200)


def _certificates() -> str:
    """This machine's bundle."""
    return str(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")


def _debian(engine: Engine) -> None:
    """Debian's smallest system, as its own image is made.

    Raises:
        NoEngineError: it can't be made here.
    """
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise NoEngineError(
            "base images can't be pulled here; as root, with debootstrap installed, tests make stand-ins for them"
        )
    with tempfile.TemporaryDirectory(prefix="catwalk-debian-") as folder:
        tree, archive = f"{folder}/tree", f"{folder}/tree.tar"
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", "trixie", tree], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NoEngineError(f"debootstrap fails: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
        subprocess.run(["tar", "-C", tree, "-cf", archive, "."], check=True)
        engine.run("import", "--change", 'CMD ["bash"]', "--change", f"LABEL {LABEL}=yes", archive, DEBIAN, seconds=300)

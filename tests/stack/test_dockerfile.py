"""Dockerfile and .dockerignore: everything that the image takes in is pinned, nothing is secret, and no process is
root.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stack.settings import PROJECT

LINES = [
    line
    for line in (PROJECT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
"""The instructions, one in each item."""


def _of(instruction: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.split()[0] == instruction]


def test_the_base_is_one_exact_image() -> None:
    stages: set[str] = set()
    for line in _of("FROM"):
        image, *name = line.split(" AS ")
        assert image in stages or re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", image), image
        stages |= set(name)
    python = re.search(r"python:(3\.\d+)", _of("FROM")[0])
    supported = re.search(
        r"Catwalk needs Python 3\.(\d+) to 3\.(\d+)", (PROJECT / "stack" / "bootstrap.py").read_text()
    )
    assert python is not None
    assert supported is not None
    assert int(supported[1]) <= int(python[1].removeprefix("3.")) <= int(supported[2])


def test_the_last_user_is_not_root() -> None:
    last = max(index for index, line in enumerate(LINES) if line.startswith("FROM"))
    users = [line.split()[1] for line in LINES[last:] if line.startswith("USER")]
    assert users == ["50000:50000"]
    assert LINES.index("USER 50000:50000") > max(index for index, line in enumerate(LINES) if line.startswith("RUN"))


def test_every_source_is_in_the_repository_and_in_the_context() -> None:
    allowed = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in _of("COPY"):
        if line.startswith("--from="):
            continue
        for source in line.split()[:-1]:
            assert (PROJECT / source).exists(), source
            assert source in allowed or f"{source}/**" in allowed, f".dockerignore keeps {source} out"


def test_complete_packages_are_copied() -> None:
    setuptools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {_top_folder(name, setuptools["package-dir"]) for name in setuptools["packages"]}
    copied = {source for line in _of("COPY") if "--from" not in line for source in line.split()[:-1]}
    assert folders <= copied


def _top_folder(package: str, places: dict[str, str]) -> str:
    """Parts of the project in which setuptools finds a package: its own location counts, or that of the package
    around it.
    """
    around, _, inner = package.rpartition(".")
    place = places.get(package) or (_top_folder(around, places) if inner and around else package)
    return place.split("/")[0]


@pytest.mark.parametrize(
    "path", [".env", ".venv/bin/python", ".catwalk/secrets.env", ".git/config", "data/FashionMNIST/raw/x", "sbom.json"]
)
def test_secrets_data_and_local_builds_stay_out(path: str) -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    kept_out = False
    for line in (line for line in lines if line and not line.startswith("#")):
        pattern = line.lstrip("!")
        if fnmatch.fnmatchcase(path, pattern) or (line == "*"):
            kept_out = not line.startswith("!")
    assert kept_out


def test_no_secret_and_nothing_from_elsewhere_is_hard_coded() -> None:
    text = "\n".join(LINES)
    assert not re.search(r"(PASSWORD|SECRET|TOKEN|KEY)\w*=", text)
    assert not _of("ADD")
    assert not re.search(r"https?://|\bcurl\b|\bwget\b|apt-get|sudo|:latest", text)


def test_the_shell_stops_at_the_first_error() -> None:
    for line in _of("RUN"):
        command = re.sub(r"--mount=\S+\s+", "", line).strip()
        assert command.startswith("set -eu;")
        done = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("backend", "seen"), [("cpu", "cpu"), ("cu130", "cu130"), ("pypi", "unset")])
def test_every_torch_that_is_offered_can_be_built(tmp_path: Path, backend: str, seen: str) -> None:
    """Runs each RUN of the build stage, up to what it installs, with a uv that only records and checks its
    arguments.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    real = Path(sys.executable).parent / "uv"
    uv = f"""#!/bin/sh
echo "${{UV_TORCH_BACKEND-unset}}" >> {tmp_path}/seen
[ "$1 $2" != "pip install" ] || exec {real} pip compile --quiet --offline --no-cache - </dev/null
"""
    for name, text in {"uv": uv, "pip": "#!/bin/sh\n", "python": "#!/bin/sh\n", "chmod": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    stage = LINES[: next(index for index, line in enumerate(LINES) if line == "FROM base")]
    arguments = {line.split()[1].partition("=")[0]: backend for line in stage if line.startswith("ARG ")}
    assert len(arguments) == 1
    environment = {"PATH": f"{programs}{os.pathsep}{os.defpath}", **arguments}
    for line in stage:
        if line.startswith("RUN "):
            command = re.sub(r"^RUN (--mount=\S+\s+)?", "", line).replace("/tmp/", f"{tmp_path}/")
            done = subprocess.run(
                ["sh", "-c", command], env=environment, cwd=PROJECT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
    # The packages with torch are the second thing that uv installs.
    assert (tmp_path / "seen").read_text().split()[1] == seen


def test_layers_that_change_with_each_commit_come_last() -> None:
    """Each build copies, exports and pushes the layers after it again; the layer of the packages has gigabytes."""
    named = next(index for index, line in enumerate(LINES) if line.startswith("ARG GIT_COMMIT"))
    assert {line.split()[0] for line in LINES[named:]} <= {"ARG", "ENV", "LABEL", "CMD"}


def test_the_user_of_the_container_can_read_the_copied_files() -> None:
    copied = max(index for index, line in enumerate(LINES) if line.startswith("COPY") and "--from" not in line)
    run = next(line for line in LINES[copied:] if line.startswith("RUN"))
    assert run.rstrip().endswith("chmod -R a+rX /opt/catwalk")


def test_packages_for_cuda_are_left_to_torch() -> None:
    expression = re.search(r"sed -E '(.*?)'", "\n".join(LINES))
    assert expression is not None
    done = subprocess.run(
        ["sed", "-E", expression[1], "requirements.txt"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    left = re.findall(r"^([a-z0-9-]+)==", done.stdout, re.MULTILINE)
    assert [name for name in left if name.startswith(("nvidia", "cuda", "triton"))] == ["nvidia-ml-py"]
    assert {"torch", "torchvision", "apache-airflow", "celery", "psycopg2-binary", "redis", "setuptools"} <= set(left)

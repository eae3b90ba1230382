"""The script that starts a part: it passes its environment exactly, and nothing from any other part."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from catwalk.environment import env_file
from stack.native import programs
from stack.parts.order import parts
from stack.parts.part import Part
from stack.settings import Settings

SHOW = "import json, os; print(json.dumps([dict(os.environ), os.umask(0)]))"


def started(settings: Settings, part: Part) -> tuple[dict[str, str], int]:
    """Returns the environment and umask of a part, as the supervisor would start it."""
    programs.write(settings, replace(part, command=[sys.executable, "-c", SHOW], guarded=""))
    script = programs.folder(settings) / f"{part.name}.sh"
    assert script.stat().st_mode & 0o777 == 0o600
    done = subprocess.run(["/usr/bin/env", "-i", "/bin/sh", script, "x"], capture_output=True, text=True, check=True)
    environment, umask = json.loads(done.stdout)
    return environment, umask


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "a #b; 'c' %d")


def test_values_arrive_unchanged(settings: Settings) -> None:
    settings.home.mkdir()
    values = {"CATWALK_CALLOUT_COMMAND": 'echo "it\'s $HOME" `x` # \\ %s; é', "OF_ALL": "two words"}
    (settings.home / "local.env").write_text(env_file.render(values))
    environment, _ = started(settings, parts(settings)["courier"])
    assert {name: environment.get(name) for name in values} == values


def test_a_part_gets_the_variables_that_it_reads_and_no_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GF_AUTH_ANONYMOUS_ENABLED", "AIRFLOW__CORE__EXECUTOR", "VGW_IAM_DIR", "CATWALK_STORE"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("SSL_CERT_FILE", "everybody's")
    known = parts(settings)
    found = {name: started(settings, part)[0] for name, part in known.items()}
    for name, environment in found.items():
        assert "theirs" not in environment.values()
        assert environment["SSL_CERT_FILE"] == "everybody's"
        assert environment["CATWALK_STACK"] == str(settings.home)
        assert ("ROOT_SECRET_KEY" in environment) == (name == "s3")
        assert ("AIRFLOW_HOME" in environment) == name.startswith("airflow-")
        assert ("AWS_SECRET_ACCESS_KEY" in environment) == (
            name in ("exporter", "courier") or name.startswith("airflow-")
        )
        assert "CATWALK_GRAFANA_PASSWORD" not in environment
    assert "CATWALK_COURIER_URL" in found["prometheus"]
    assert "CATWALK_MONITORING_PASSWORD" not in found["prometheus"]


def test_a_part_starts_with_any_environment_of_the_caller(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that no shell can set are left out; bytes that are not UTF-8 arrive."""
    for name in ("UID", "SHELLOPTS", "grüße", "BASH_FUNC_x%%", "a.b"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("OLD_NAME", os.fsdecode(b"caf\xe9\nand more"))
    part = parts(settings)["statsd_exporter"]
    show = "import os; print(os.environb[b'OLD_NAME'])"
    programs.write(settings, replace(part, command=[sys.executable, "-c", show], guarded=""))
    script = programs.folder(settings) / f"{part.name}.sh"
    for shell in [["/bin/sh"], *([["bash", "--posix"]] if shutil.which("bash") else [])]:
        done = subprocess.run(["/usr/bin/env", "-i", *shell, script], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("b'caf\\xe9\\nand more'\n", "")


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_its_files_are_as_private_as_the_callers(settings: Settings, umask: int) -> None:
    part = parts(settings)["statsd_exporter"]
    before = os.umask(umask)
    try:
        assert started(settings, part)[1] == umask
    finally:
        os.umask(before)


def test_a_part_is_current_until_a_variable_that_it_reads_changes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.home / "receivers").mkdir(parents=True)
    part = parts(settings)["courier"]
    assert not programs.is_current(settings, part)
    programs.write(settings, part)
    monkeypatch.setenv("TERM", "another shell")
    monkeypatch.setenv("NO_PROXY", "another.example.com")
    monkeypatch.setenv("no_proxy", "another.example.com")
    assert programs.is_current(settings, parts(settings)["courier"])
    (settings.home / "receivers" / "slack_url").write_text("https://example.com")
    assert not programs.is_current(settings, part)
    programs.write(settings, part)
    assert not programs.is_current(replace(settings, ports={**settings.ports, "courier": 1}), part)
    assert not programs.is_current(settings, replace(part, command=["another"]))
    (settings.home / "local.env").write_text("AIRFLOW__CORE__PARALLELISM=8\n")
    assert programs.is_current(settings, part)

"""The parts accept the snippets of the operations page. No server is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import web_config
from stack.configuration import credentials
from stack.configuration.environment import client_environment
from stack.settings import PROJECT, Settings, tool
from tests.stack.compose_project import VARIABLES
from tests.stack.operations import PAGE, blocks


def promtool(*arguments: str) -> None:
    done = subprocess.run([str(tool("promtool")), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prometheus' configuration, in its folder."""
    shutil.copytree(PROJECT / "prometheus" / "rules", tmp_path / "rules")
    (tmp_path / "targets").mkdir()
    for name in ("statsd_exporter", "exporter", "courier", "alertmanager", "prometheus"):
        (tmp_path / "targets" / f"{name}.yml").write_text('- targets: ["127.0.0.1:1"]\n')
    web_config.write(tmp_path / "access", "password")
    (tmp_path / "access" / "remote_password").write_text("password")
    return tmp_path


def committed() -> dict[str, Any]:
    return dict(yaml.safe_load((PROJECT / "prometheus" / "prometheus.yml").read_text()))


def test_prometheus_accepts_the_committed_configuration_with_a_remote_store(folder: Path) -> None:
    [snippet] = blocks("Metrics to a long-term store", "yaml")
    path = folder / "prometheus.yml"
    path.write_text((PROJECT / "prometheus" / "prometheus.yml").read_text() + snippet)
    promtool("check", "config", str(path))
    promtool("check", "web-config", str(folder / "access" / web_config.WEB_FILE))


def test_your_own_prometheus_gets_every_job_and_label_that_ours_has(folder: Path) -> None:
    [snippet] = blocks("Your own Prometheus", "yaml")
    (folder / "prometheus.yml").write_text(snippet)
    promtool("check", "config", str(folder / "prometheus.yml"))
    theirs, ours = yaml.safe_load(snippet), committed()
    assert [job["job_name"] for job in theirs["scrape_configs"]] == [job["job_name"] for job in ours["scrape_configs"]]
    assert theirs["global"].keys() == ours["global"].keys()
    assert theirs["global"]["external_labels"].keys() == ours["global"]["external_labels"].keys()


def test_every_generated_secret_is_in_the_table(tmp_path: Path) -> None:
    text = PAGE.read_text().partition("\n## Secrets\n")[2].partition("\n## ")[0]
    missing = [name for name in credentials.load_or_create(tmp_path / "secrets.env") if f"`{name}`" not in text]
    assert missing == []


def test_the_stack_knows_its_variables(tmp_path: Path) -> None:
    known = client_environment(Settings(tmp_path)).keys() | VARIABLES
    assert set(re.findall(r"\bCATWALK_[A-Z_]*[A-Z]\b", PAGE.read_text())) <= known

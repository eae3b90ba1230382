"""Runbooks say what they should, and what they tell people to type exists."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from monitoring import receivers
from monitoring.cli import app
from stack.settings import PROJECT, tool
from tests.notifying import Alertmanager
from tests.prometheus.rulebook import RUNBOOKS, Rule, alerts, dump, names, records
from tests.prometheus.test_lint import OWN, metric_names, series_read

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Why this threshold", "Silence"]
PAGES = sorted(RUNBOOKS.glob("*.md"))


def blocks(path: Path, language: str) -> list[str]:
    """The lines of a page's code blocks."""
    found = re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_every_section(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.MULTILINE))
    for name in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", text):
        known = set(names(alerts()))
        assert name in known or name.startswith(("Fashion",)), f"{name} is no alert"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_its_commands_exist(path: Path) -> None:
    commands = typer.main.get_command(app)
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    inline = [text for text in re.findall(r"`([^`\n]+)`", path.read_text()) if text.startswith(("catwalk ", "make "))]
    for line in inline:
        command, word = line.split()[:2]
        assert word in (commands.commands if command == "catwalk" else targets)  # type: ignore[attr-defined]
    lines = blocks(path, "sh")
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[0] == "catwalk":
            command = commands.commands[words[1]]  # type: ignore[attr-defined]
            command.make_context(words[1], [word.replace("RUN", "latest") for word in words[2:]])
        elif words[0] == "make":
            assert words[1] in targets
        elif "amtool" in words[0]:
            assert words[1:3] == ["silence", "add"]
            assert f"alertname={path.stem}" in words
            assert "--http.config.file=.catwalk/alertmanager/client.yml" in words
        for file in re.findall(r"\S*\.catwalk/logs/([\w-]+)\.log", line):
            assert file in {
                "s3", "statsd_exporter", "prometheus", "alertmanager", "registry", "courier",
                "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
            }  # fmt: skip


@pytest.mark.integration
def test_their_queries_are_valid_and_read_what_exists(tmp_path: Path) -> None:
    from monitoring import catalogue
    from monitoring.airflow_metrics import airflow_rules, load_registry

    queries = sorted({line for path in PAGES for line in blocks(path, "promql")})
    assert len(queries) > 60
    probes = [
        Rule("", "", {"record": f"run:query{number}:checked", "expr": query}) for number, query in enumerate(queries)
    ]
    (tmp_path / "queries.yml").write_text(dump(probes))
    command = [str(tool("promtool")), "check", "rules", str(tmp_path / "queries.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    airflow = [rule.metric for rule in airflow_rules(load_registry()) if rule.metric]
    declared = metric_names([*catalogue.METRICS, *airflow]) | set(names(records()))
    for probe in probes:
        unknown = {name for name in series_read(probe) if name.startswith(OWN) or ":" in name} - declared
        assert not unknown, probe.expression


@pytest.mark.integration
def test_alertmanager_takes_the_silence(tmp_path: Path) -> None:
    line = next(line for line in blocks(RUNBOOKS / "DiskNearlyFull.md", "sh") if "amtool" in line)
    alertmanager = Alertmanager(tmp_path, receivers.read(tmp_path), "http://127.0.0.1:1")
    try:
        line = line.replace(":9093", f":{alertmanager.port}").replace(".catwalk/alertmanager", str(tmp_path))
        command = [str(tool("amtool")), *shlex.split(line)[1:]]
        subprocess.run(command, capture_output=True, timeout=60, check=True)
        alertmanager.post({"alertname": "DiskNearlyFull", "volume": "store"}, {"alertname": "StoreSlow"})
        assert alertmanager.states() == {
            "alertname=DiskNearlyFull volume=store": "suppressed",
            "alertname=StoreSlow": "active",
        }
    finally:
        alertmanager.stop()

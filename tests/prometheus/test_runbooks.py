"""Runbooks say what they should, and what they tell people to type exists."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
import yaml

from catwalk.cli.main import app
from catwalk.notifications import receivers
from catwalk.telemetry.wire.address import Address
from catwalk_courier.runbooks import CONTAINERS
from stack.settings import PROJECT, tool
from tests.prometheus.book import SCENARIOS, complaint
from tests.prometheus.rulebook import RUNBOOKS, Rule, alerts, dump, names, records
from tests.prometheus.scenario import Expectation, Scenario
from tests.prometheus.test_lint import OWN, metric_names, series_read
from tests.support.notifying import Alertmanager
from tests.support.servers import StatsdExporter, wait_until

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Why this threshold", "Silence"]
PAGES = sorted(RUNBOOKS.glob("*.md"))


def blocks(path: Path, language: str) -> list[str]:
    """The lines of a page's code blocks."""
    found = re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.replace("\\\n", " ").splitlines()]


def send(address: Address, text: str) -> None:
    """Lines by TCP."""
    with socket.create_connection((address.host, address.port), 10) as connection:
        connection.sendall(text.encode())


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
                "s3", "statsd_exporter", "prometheus", "alertmanager", "exporter", "courier",
                "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
            }  # fmt: skip


@pytest.mark.integration
def test_their_queries_are_valid_and_read_what_exists(tmp_path: Path) -> None:
    from catwalk.telemetry import catalogue
    from catwalk.telemetry.airflow_metrics import airflow_rules, load_registry

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


def _states(alert: str) -> Iterator[tuple[Scenario, Expectation]]:
    """Stories and times at which it fires."""
    for story in SCENARIOS:
        for check in story.expect:
            if check.name == alert and check.alerts:
                yield story, check


def _shows_something(query: str, story: Scenario, check: Expectation) -> bool:
    """Whether a query has a result while an alert fires."""
    run_id = next((alert.labels["run_id"] for alert in check.alerts or () if "run_id" in alert.labels), "")
    result = Expectation(check.at, f"count({query.replace('RUN', run_id)}) > bool 0", samples={"{}": 1})
    beside = Rule("", "", {"record": "", "expr": query}).uses
    return not complaint([replace(story, expect=(check, result))], beside=beside)


@pytest.mark.integration
@pytest.mark.parametrize("alert", names(alerts()))
def test_a_query_shows_something_while_the_alert_fires(alert: str) -> None:
    queries = blocks(RUNBOOKS / f"{alert}.md", "promql")
    assert any(_shows_something(query, *state) for query in queries for state in _states(alert))


def _line(alert: str, beginning: str) -> str:
    return next(line for line in blocks(RUNBOOKS / f"{alert}.md", "sh") if line.startswith(beginning))


def _typed(line: str, exporter: StatsdExporter) -> str:
    """What a command prints, with statsd_exporter's port for the usual one."""
    line = line.replace("127.0.0.1:9102", f"127.0.0.1:{exporter.web_port}")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.integration
def test_names_that_nobody_maps_are_found_whatever_they_begin_with() -> None:
    exporter = StatsdExporter()
    try:
        for wire in ("airflow.brand_new", "ml.brand_new", "theirs", "airflow.scheduler_heartbeat", "ml.test.loss"):
            send(exporter.address, f"{wire}:1|c\n" if "loss" not in wire else f"{wire},run_id=a,model=b:1|g\n")
        exporter.wait("theirs", 1)
        wait_until(lambda: exporter.scrape().total("ml_test_loss") == 1)
        printed = _typed(_line("StatsdUnmappedEvents", "curl"), exporter).splitlines()
        assert sorted(line.split()[2] for line in printed) == ["airflow_brand_new", "ml_brand_new", "theirs"]
    finally:
        exporter.stop()


@pytest.mark.integration
def test_the_page_of_statsd_exporter_is_looked_at() -> None:
    exporter = StatsdExporter()
    try:
        send(
            exporter.address, "".join(f"ml.epoch.loss,run_id=a,model=b,split=train,epoch={n}:1|g\n" for n in range(300))
        )
        exporter.wait("ml_epoch_loss", 300)
        assert _typed(_line("StatsdExporterDown", "curl"), exporter).startswith("HTTP/1.1 200")
        assert _typed(_line("SampleLimitExceeded", "curl"), exporter).split()[:2] == ["300", "ml_epoch_loss"]
    finally:
        exporter.stop()


SERVICES = {"s3": "versitygw", "statsd_exporter": "statsd-exporter"}
"""Parts whose service in docker-compose.yaml has another name."""


def test_every_native_command_has_its_like_in_containers() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", CONTAINERS.read_text(), re.MULTILINE)
    natively, within = "\n".join(row[0] for row in rows), "\n".join(row[1] for row in rows)
    known = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    for path in PAGES:
        inline = re.findall(r"`((?:make|kill|python) ?[^`\n]*|[^`\n]*\.catwalk/[^`\n]*)`", path.read_text())
        for line in [*blocks(path, "sh"), *inline]:
            assert _head(line) in natively, f"{path.stem}: {line}"
        for name in re.findall(r"\.catwalk/logs/([\w-]+)\.log", path.read_text()):
            assert SERVICES.get(name, name) in known, name
    for name in re.findall(r"docker compose (?:exec|run --rm) ([\w-]+)|http://([\w-]+):", within):
        assert set(name) - {""} <= known.keys(), name
    for part, service in SERVICES.items():
        assert f"`{part}` is `{service}`" in within


def _head(line: str) -> str:
    """What tells a command from others: its program, with what else it takes to."""
    words = shlex.split(line, comments=True)
    program = words[0].rpartition("/")[2] if words[0].startswith(".tools") else words[0]
    if program in ("make", "python", "cat") or words[:2] == ["kill", "-HUP"]:
        return " ".join(words)
    return program


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

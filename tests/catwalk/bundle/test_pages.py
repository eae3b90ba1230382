"""A guest's steps, run as docs/adopting.md and docs/watch-airflow.md show them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from catwalk.bundle.files import contents
from catwalk.bundle.options import Options
from catwalk.environment import env_file
from grafana.dashboards import DASHBOARDS
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT, tool
from tests.grafana.asking import ask
from tests.grafana.promql import panel_queries
from tests.support.servers import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ADOPTING, AIRFLOW = ((PROJECT / "docs" / name).read_text() for name in ("adopting.md", "watch-airflow.md"))
SENT = [
    *(f"airflow.dagrun.duration.{state},dag_id=theirs,run_type=scheduled:60000|ms" for state in ("success", "failed")),
    *(f"airflow.ti.finish,dag_id=theirs,task_id=load,state={state}:1|c" for state in ("success", "failed")),
    "airflow.dagrun.schedule_delay,dag_id=theirs:1500|ms",
    "airflow.scheduler_heartbeat:1|c",
    "airflow.dag_processor_heartbeat:1|c",
    "airflow.pool.open_slots,pool_name=default_pool:128|g",
    "airflow.executor.open_slots,executor_class_name=LocalExecutor:4|g",
    "airflow.dag_processing.import_errors:0|g",
    "airflow.dag_processing.total_parse_time:0.5|g",
]
"""Sends a metric as Airflow does with the bundle's environment."""


def block(kind: str) -> str:
    """Returns the one code block of adopting.md with these words after its backquotes."""
    [found] = re.findall(rf"^```{kind}\n(.*?)^```", ADOPTING, re.MULTILINE | re.DOTALL)
    return str(found)


def environment() -> dict[str, str]:
    folders = [str(Path(sys.executable).parent), *(str(tool(name).parent) for name in ("promtool", "statsd_exporter"))]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CATWALK_", "AWS_"))}
    return {
        **clean,
        "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'monitoring'}",
    }


def typed(text: str, folder: Path) -> str:
    """Returns what commands print; all of them must succeed."""
    done = subprocess.run(
        ["bash", "-euc", text], cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(text: str, folder: Path) -> Iterator[None]:
    """Starts commands that keep running, in their own process group."""
    process = subprocess.Popen(
        ["bash", "-euc", text], cwd=folder, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def test_two_catwalks_have_dashboards_of_their_own(tmp_path: Path) -> None:
    assert typed(block("sh two"), tmp_path).count("wrote ") == 2
    boards = [
        path.name for team in ("growth", "search") for path in tmp_path.glob(f"catwalk-{team}/grafana/dashboards/*")
    ]
    assert len(boards) == len(set(boards)) == 2 * len(DASHBOARDS)
    for team in ("growth", "search"):
        board = json.loads((tmp_path / f"catwalk-{team}/grafana/dashboards/catwalk-home-{team}.json").read_text())
        assert (board["title"], board["tags"]) == (f"Catwalk: home ({team})", [f"catwalk-{team}"])
        assert (
            yaml.safe_load((tmp_path / f"catwalk-{team}/grafana/provisioning.yml").read_text())["providers"][0][
                "folder"
            ]
            == f"Catwalk {team}"
        )


def test_airflow_gets_the_settings_that_our_own_stack_gives_it() -> None:
    made = contents(Options("http://e", "http://g", runbooks_url="http://r"))["airflow/metrics.env"]
    ours = env_file.read(PROJECT / "stack" / "catwalk.env")
    wanted = {f"{name}={value}" for name, value in ours.items() if name.startswith("AIRFLOW__METRICS__")}
    assert wanted <= {line.removeprefix("# ") for line in made.splitlines()}


def test_the_steps_end_with_dashboards_of_an_airflow_without_a_model(tmp_path: Path) -> None:
    typed(block("sh bundle"), tmp_path)
    (tmp_path / "prometheus.yml").write_text(block("yaml prometheus.yml"))
    ports = {name: free_port() for name in ("9125", "9102", "9180")}

    def here(text: str) -> str:
        text = text.replace("/srv/catwalk/ledger", str(tmp_path / "ledger"))
        return re.sub(r"\b(9125|9102|9180)\b", lambda port: str(ports[port[1]]), text)

    assert "SUCCESS" in typed(block("sh check") + f"sed -i {_moved(ports)} catwalk-scrape.yml", tmp_path)
    web = free_port()
    server = f"{tool('prometheus')} --config.file=prometheus.yml --web.listen-address=127.0.0.1:{web}"
    with running(here(block("sh statsd")), tmp_path), running(here(block("sh exporter")), tmp_path):
        with running(f"{server} --storage.tsdb.path=data", tmp_path):
            wait_until(lambda: get(f"http://127.0.0.1:{web}/-/ready") is not None, "Prometheus is ready")
            wait_until(lambda: get(f"http://127.0.0.1:{ports['9180']}/healthz") is not None, "the exporter answers")
            named = set(
                re.findall(r"\*([A-Z][^*]+)\*", AIRFLOW.partition("## Which panels work")[2].partition("*Airflow's")[0])
            )
            assert len(named) == 12
            wait_until(lambda: silent(tmp_path, web, named, ports["9125"]) == [], "an answer to each of the panels")


def _moved(ports: dict[str, int]) -> str:
    return " ".join(f"-e s/:{port}/:{there}/" for port, there in ports.items())


def silent(folder: Path, web: int, panels: set[str], statsd: int) -> list[str]:
    """Returns the titles of the panels that show nothing after Airflow has sent more metrics."""
    with socket.create_connection(("127.0.0.1", statsd)) as connection:
        connection.sendall("".join(f"{line}\n" for line in SENT).encode())
    board: dict[str, Any] = json.loads((folder / "catwalk-bundle/grafana/dashboards/catwalk-pipeline.json").read_text())
    variables = {"model": "", "dag": ".*", "recent": ".*"}
    shown = {
        query.place
        for query in panel_queries(board)
        if query.place in panels and ask(f"http://127.0.0.1:{web}", query, variables, time.time(), 900, 10)
    }
    time.sleep(1)  # Airflow does not send continuously
    return sorted(panels - shown)

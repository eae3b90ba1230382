"""Writing a run's points into Prometheus again, with the real promtool, Prometheus and statsd_exporter."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catwalk.errors import CatwalkError
from catwalk.replay.openmetrics import openmetrics
from catwalk.replay.points import run_points
from catwalk.replay.replay import replay
from catwalk.replay.room import take_again
from catwalk.storage.store import Store
from catwalk.telemetry import catalogue
from catwalk.telemetry.budget import RUNS_SHARE
from catwalk.telemetry.emitter import observer_from_environment
from catwalk.telemetry.observer import Silent
from catwalk.telemetry.points import Point
from stack.ports import free_port
from stack.settings import tool
from tests.support.ledgers import make_run
from tests.support.servers import PATIENCE, StatsdExporter, wait_for_port, wait_until

pytestmark = pytest.mark.integration

OLD, NEW = "20261101T030000Z-00000001", "20261123T030000Z-00000002"
OTHER = "20261123T030000Z-00000003"
TARGET = "127.0.0.1:9999"


class Prometheus:
    """A Prometheus that scrapes statsd_exporter each second."""

    def __init__(self, folder: Path, target: str = TARGET) -> None:
        self.folder, self.port, self.process = folder, free_port(), None
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: statsd_exporter, static_configs: [{{targets: ['{target}']}}]}}]"
        )
        self.start()

    def start(self) -> None:
        command = [
            str(tool("prometheus")),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.data}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--storage.tsdb.retention.time=400d",
        ]
        with (self.folder / "prometheus.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.port, self.process)
        wait_until(
            lambda: self.ask("status/runtimeinfo") and self.ask("targets")["activeTargets"], "its target is known"
        )

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=PATIENCE) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError:  # 503 while it starts
            return None

    def query(self, expression: str, at: float) -> list[dict[str, Any]]:
        parameters = urllib.parse.urlencode({"query": expression, "time": at})
        return list(self.ask(f"query?{parameters}")["result"])


@pytest.fixture
def prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path)
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", server.url)
    yield server
    server.stop()


def test_an_old_run_is_found_at_its_original_time(s3_store: Store, prometheus: Prometheus) -> None:
    ended = time.time() - 20 * 86_400
    run = make_run(s3_store, OLD, ended)
    result = replay(run, Silent(), None, time.time())
    assert (result.transport, result.where, result.points) == ("backfill", str(prometheus.data), len(run_points(run)))
    assert not list(prometheus.data.glob("catwalk-replay-*"))
    prometheus.stop()
    prometheus.start()
    for point in run_points(run):
        labels = ",".join(f'{name}="{text}"' for name, text in point.labels.items())
        found = prometheus.query(f"last_over_time({point.metric.name}{{{labels}}}[1d])", ended + 3600)
        assert len(found) == 1, point
        assert float(found[0]["value"][1]) == point.value
        assert found[0]["metric"]["job"] == "statsd_exporter"
        assert found[0]["metric"]["instance"] == TARGET
    completeness = (
        "count by (run_id) (group by (__name__, run_id, epoch, split, class, true_class, predicted_class, stage) "
        '(last_over_time({__name__=~"ml_.+", run_id!=""}[1d])))'
    )
    assert float(prometheus.query(completeness, ended + 60)[0]["value"][1]) == result.points
    assert prometheus.query(f"last_over_time({catalogue.EPOCH_LOSS.name}[1d])", time.time()) == []


def test_a_recent_run_is_sent_by_statsd(s3_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    exporter = StatsdExporter()
    server = Prometheus(tmp_path, f"127.0.0.1:{exporter.web_port}")
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", server.url)
    monkeypatch.setenv("CATWALK_STATSD", f"127.0.0.1:{exporter.port}")
    try:
        run = make_run(s3_store, NEW, time.time() - 11 * 3600)
        result = replay(run, observer_from_environment(), None, time.time())
        assert (result.transport, result.points) == ("statsd", len(run_points(run)))
        assert result.sentence.endswith("sent through StatsD; Prometheus has them")
        assert len(exporter.scrape().of("ml_")) == result.points
        monkeypatch.setattr("catwalk.replay.resend.ARRIVAL_SECONDS", 4.0)
        with socket.create_connection(("127.0.0.1", exporter.port)) as sender:
            sender.sendall(b"airflow.ti.start,dag_id=a,__name__=x:1|c\n")
        wait_until(lambda: status(exporter.web_port) == 500)
        other = make_run(s3_store, OTHER, time.time() - 11 * 3600)
        with pytest.raises(
            CatwalkError, match="were sent, but Prometheus has 0 of them after 4 s; run `catwalk doctor`"
        ):
            replay(other, observer_from_environment(), None, time.time())
        server.stop()
        assert (
            "it is unknown whether Prometheus has them"
            in replay(run, observer_from_environment(), None, time.time()).sentence
        )
    finally:
        exporter.stop()
    with pytest.raises(CatwalkError, match="could not be sent; is statsd_exporter running at"):
        replay(run, observer_from_environment(), None, time.time())
    monkeypatch.delenv("CATWALK_STATSD")
    with pytest.raises(CatwalkError, match="set CATWALK_STATSD"):
        replay(run, observer_from_environment(), None, time.time())


def status(port: int) -> int:
    """The metrics page's answer at a port of this machine."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_points_without_room_beside_other_runs_are_not_sent(s3_store: Store) -> None:
    run = make_run(s3_store, NEW, time.time() - 3600)
    assert take_again(s3_store, make_run(s3_store, OTHER, time.time()).record, RUNS_SHARE)
    with pytest.raises(CatwalkError, match=r"points of run .* don't fit into Prometheus .*; try again in an hour"):
        replay(run, Silent(), None, time.time())


def test_a_folder_gets_blocks_at_any_age(s3_store: Store, tmp_path: Path) -> None:
    result = replay(make_run(s3_store, NEW, time.time() - 60), Silent(), tmp_path / "new" / "blocks", time.time())
    assert result.transport == "backfill"
    assert [path for path in (tmp_path / "new" / "blocks").iterdir() if (path / "meta.json").is_file()]


def test_without_prometheus_the_file_says_how_to_load_it(
    s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.chdir(tmp_path)
    run = make_run(s3_store, OLD, time.time() - 86_400)
    result = replay(run, Silent(), None, time.time())
    assert result.transport == "file"
    assert "promtool tsdb create-blocks-from openmetrics" in result.sentence
    written = (tmp_path / result.where).read_text()
    assert written.endswith("# EOF\n")
    assert 'instance="127.0.0.1:' in written


def test_a_folder_that_cannot_be_written_is_one_line(s3_store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = make_run(s3_store, OLD, time.time() - 86_400)
    with pytest.raises(CatwalkError, match=r"blocks can't be written to .*file"):
        replay(run, Silent(), tmp_path / "file", time.time())


def test_odd_values_and_labels_are_valid_openmetrics(tmp_path: Path) -> None:
    values = (math.nan, math.inf, -math.inf, -0.5, 1e-300)
    points = [
        Point(catalogue.TEST_LOSS, {"run_id": f'a"\\\n{n}', "model": "ü"}, v, 1.7e9 + n) for n, v in enumerate(values)
    ]
    file = tmp_path / "points"
    file.write_text(openmetrics(points, {"job": "statsd_exporter"}))
    promtool = str(tool("promtool"))
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(file), str(tmp_path / "blocks")]
    subprocess.run(command, check=True, capture_output=True)

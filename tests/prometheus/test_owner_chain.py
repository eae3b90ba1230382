"""From the owner that a run names to the receiver of an alert: the real exporter, Prometheus and Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import catwalk
from catwalk.notifications import receivers
from tests.monitoring.exporter.test_exporter_process import ExporterProcess
from tests.prometheus.test_notifications import heard
from tests.prometheus.test_targets import Prometheus
from tests.support.notifying import Alertmanager, Listener
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration
FAILED = "PipelineRunFailed"
OWNER = 'équipe "ML" 猫'


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Who hears what goes to the courier, to the platform's people, and to the owner's."""
    for name in ("CATWALK_RUN_KEY", "CATWALK_STATSD", "CATWALK_AIRFLOW_URL", "AIRFLOW_CTX_DAG_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_SHIP", "1")
    found = Listener()
    for folder, whom in (("", "platform"), (OWNER, "owner")):
        (tmp_path / "receivers" / folder).mkdir()
        (tmp_path / "receivers" / folder / "webhook_url").write_text(f"{found.url}/{whom}")
    yield found
    found.stop()


@pytest.fixture
def chain(tmp_path: Path, listener: Listener) -> Iterator[None]:
    """Exporter, Prometheus and Alertmanager, after two runs have failed."""
    fail("猫-1", OWNER)
    fail("plain", "")
    exporter = ExporterProcess(tmp_path / "exporter.log")
    wait_until(lambda: exporter.status("/healthz") == 200, "the exporter")
    known = receivers.read(tmp_path / "receivers")
    (tmp_path / "alertmanager").mkdir()
    alertmanager = Alertmanager(tmp_path / "alertmanager", known, f"{listener.url}/courier")
    (tmp_path / "prometheus").mkdir()
    prometheus = Prometheus(tmp_path / "prometheus", alertmanager, 10_000, exporter=exporter)
    yield
    for server in (prometheus, alertmanager):
        server.stop()
    exporter.process.kill()
    exporter.process.wait()


def fail(model: str, owner: str) -> None:
    """A night's run that ends badly."""
    with pytest.raises(ZeroDivisionError), catwalk.run(model, catwalk.Binary(), owner=owner):
        raise ZeroDivisionError


@pytest.mark.usefixtures("chain")
def test_an_alert_about_a_model_reaches_who_its_run_says_is_its_owner(listener: Listener) -> None:
    told = {"courier": ["firing", "firing"], "owner": ["firing"], "platform": ["firing"]}
    wait_until(
        lambda: heard(listener, FAILED).keys() == told.keys() and len(heard(listener, FAILED)["courier"]) == 2,
        "the failures are heard of",
    )
    assert heard(listener, FAILED) == told
    [[of_owner], [of_nobody]] = [
        [
            one["labels"]
            for body in listener.bodies(path)
            for one in body["alerts"]
            if one["labels"]["alertname"] == FAILED
        ]
        for path in ("/owner", "/platform")
    ]
    assert (of_owner["model"], of_owner["owner"]) == ("猫-1", OWNER)
    assert of_nobody["model"] == "plain" and "owner" not in of_nobody
    fail("猫-1", "risk")
    wait_until(lambda: "resolved" in heard(listener, FAILED)["owner"], "its end reaches who heard of it")
    wait_until(lambda: len(heard(listener, FAILED)["platform"]) == 2, "the next owner has no receivers")
    assert heard(listener, FAILED)["owner"] == ["firing", "resolved"]
    assert heard(listener, FAILED)["platform"] == ["firing", "firing"]

"""The doctor on a running stack."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from catwalk.cli.doctor import airflow, transport
from catwalk.cli.doctor.check import Check, Unwell
from catwalk.cli.doctor.examination import examine
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from stack.settings import tool
from tests.conftest import RunningStack, wait_until
from tests.prometheus.rulebook import records
from tests.prometheus.test_runbooks import send
from tests.support.between import Answer, Asked, BeforeS3
from tests.support.notifying import Listener
from tests.support.servers import S3Server, StatsdExporter


def _verdicts() -> dict[str, str]:
    return {check.part: check.verdict for check in examine()}


@pytest.mark.integration
def test_a_running_stack_is_healthy_and_a_part_that_stops_is_named(services: RunningStack) -> None:
    with services.as_environment():
        parts = {"store", "conditional writes", "statsd", "canary", "exporter", "prometheus", "targets", "alertmanager"}
        wait_until(lambda: all(_verdicts()[part] == "OK" for part in parts), "every part is well")
        services.stop("alertmanager")
        try:

            def missed() -> dict[str, Check] | None:
                found = {check.part: check for check in examine()}
                return found if "alertmanager" in found["targets"].finding and found["targets"].remedy else None

            found = wait_until(missed, "Prometheus misses Alertmanager")
            assert found is not None
            assert found["targets"].verdict == "FAIL"
            assert found["alertmanager"].verdict == "FAIL"
            assert "make up" in found["alertmanager"].remedy
            assert "alertmanager" in found["targets"].finding
        finally:
            services.start("alertmanager")


HARMLESS = {
    "events", "events_actions", "event_queue_flushed", "udp_packets", "tcp_connections", "unixgram_packets", "lines",
    "samples", "tags", "config_reloads", "metrics", "cache_gets", "cache_hits",
}  # fmt: skip
"""Counters that statsd_exporter increments while everything is healthy; a mapping that it refused is not a lost
line.
"""
RELAYED = {"relay_packets", "relay_long_lines", "relay_lines_relayed"}
"""About a relay, which is not switched on."""


def test_doctor_and_rules_check_every_loss_that_statsd_exporter_counts() -> None:
    binary = tool("statsd_exporter").read_bytes()
    every = {name.decode() for name in re.findall(rb"statsd_(?:metric_mapper|exporter)_([a-z_]+?)_total", binary)}
    losses = every - HARMLESS - RELAYED
    assert losses >= {"sample_errors", "tag_errors", "events_error", "tcp_too_long_lines"}
    pattern = re.search(
        r'__name__=~"([^"]+)"', next(r for r in records() if r.name == "statsd_exporter:events:count").expression
    )
    assert pattern
    for name in losses:
        assert transport.LOSSES.match(f"statsd_exporter_{name}_total 1"), name
        assert re.fullmatch(pattern[1], f"statsd_exporter_{name}_total"), name
    for name in HARMLESS - {"config_reloads"}:
        assert not re.fullmatch(pattern[1], f"statsd_exporter_{name}_total"), name


@pytest.mark.integration
def test_lines_that_cannot_be_read_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = StatsdExporter()
    monkeypatch.setenv("CATWALK_STATSD_EXPORTER_URL", f"http://127.0.0.1:{exporter.web_port}")
    try:
        assert transport.statsd_losses() == "statsd_exporter has read every line"
        send(
            exporter.address,
            "ml.test.loss,run_id=a,model=b:x1|g\nairflow.scheduler_heartbeat:-3|c\nml.test.loss,run_id=:1|g\n",
        )
        counters = ("sample_errors", "events_error", "tag_errors")

        def counted() -> bool:
            scrape = exporter.scrape()
            return all(scrape.total(f"statsd_exporter_{counter}_total") == 1 for counter in counters)

        wait_until(counted, "one of each")
        with pytest.raises(Unwell) as found:
            transport.statsd_losses()
        assert all(counter in found.value.finding for counter in counters)
        assert found.value.verdict == "WARN"
    finally:
        exporter.stop()


@pytest.mark.integration
def test_an_airflow_that_is_healthy_but_not_heard_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = {"status": "healthy"}
    server = Listener(lambda *request: (200, {"scheduler": healthy, "metadatabase": healthy, "triggerer": healthy}))
    exporter = StatsdExporter()
    monkeypatch.setenv("CATWALK_AIRFLOW_URL", server.url)
    monkeypatch.setenv("CATWALK_STATSD_EXPORTER_URL", f"http://127.0.0.1:{exporter.web_port}")
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(0.2):
            send(exporter.address, "airflow.scheduler_heartbeat:1|c\n")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        monkeypatch.setattr(airflow, "HEARTBEAT_WAIT", 3.0)
        with pytest.raises(Unwell, match="heartbeats of Airflow's triggerer don't arrive"):
            airflow.airflow_metrics()
        monkeypatch.setattr(airflow, "HEARTBEATS", ("scheduler",))
        monkeypatch.setattr(airflow, "HEARTBEAT_WAIT", 60.0)
        assert airflow.airflow_metrics() == "heartbeats of scheduler arrive at statsd_exporter"
    finally:
        stopped.set()
        thread.join()
        exporter.stop()
        server.stop()


def test_a_store_that_ignores_conditions_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such servers exist, but none is available here: this is the one place that needs a stand-in."""
    kept: dict[str, bytes] = {}

    def put(self: S3Store, key: str, body: bytes, **conditions: Any) -> str:
        kept[key] = body
        return "etag"

    monkeypatch.setenv("CATWALK_STORE", "s3://careless")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anyone's")
    monkeypatch.setattr(S3Store, "put", put)
    monkeypatch.setattr(S3Store, "get", lambda self, key: type("Stored", (), {"etag": "etag", "body": kept[key]}))
    monkeypatch.setattr(S3Store, "delete", lambda self, key: kept.pop(key))
    found = next(check for check in examine() if check.part == "conditional writes")
    assert (found.verdict, kept) == ("FAIL", {})
    assert "8 created and 8 replaced" in found.finding


@pytest.mark.integration
def test_a_store_that_does_not_list_what_it_took_is_detected(
    s3_store: Store, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, one behind a proxy that normalises names on the way in."""

    def hide(asked: Asked, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        return replace(answer, body=re.sub(rb"<Contents>.*</Contents>", b"", answer.body, flags=re.DOTALL))

    before = BeforeS3(s3_server.port, hide)
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", before.url)
        found = next(check for check in examine() if check.part == "store")
    finally:
        before.stop()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.url)
    assert found.verdict == "FAIL"
    assert found.finding == f"{s3_store.url} at {before.url} accepted an object, but then it could not be listed"
    assert "CATWALK_STORE" in found.remedy
    assert list(S3Store(s3_store.url).list("")) == [], "the object is gone again"


def test_a_part_left_out_of_the_containers_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor checks it if a setting says that it is elsewhere."""
    monkeypatch.setenv("CATWALK_PROFILES", "s3,grafana")
    monkeypatch.setenv("CATWALK_PROMETHEUS_URL", "http://prometheus:9090")
    monkeypatch.setenv("CATWALK_ALERTMANAGER_URL", "http://127.0.0.1:9")
    found = {check.part: check for check in examine()}
    for part in ("prometheus", "targets"):
        assert (found[part].verdict, found[part].finding) == ("WARN", "left out by COMPOSE_PROFILES")
        assert "CATWALK_PROMETHEUS_INTERNAL_URL" in found[part].remedy
    assert found["alertmanager"].verdict == "FAIL"

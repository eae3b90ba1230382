"""Reports as the exporter serves them: fetched on request, and facts in their place if there are none."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from catwalk.report import NAVIGATION
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from catwalk_exporter.run_reports import RunReports
from tests.monitoring.exporter.test_exporter_process import ExporterProcess
from tests.support.ledgers import put_summary, summary
from tests.support.servers import S3Server, wait_until

pytestmark = pytest.mark.integration

RUN, RUNNING = "20261122T030000Z-00000001", "20261123T030000Z-00000002"
REPORT = f"<!doctype html><html><body>{NAVIGATION}<h1>The report</h1></body></html>".encode()
PNG = b"\x89PNG\r\n\x1a\n a picture"


@pytest.fixture
def exporter(s3_store: Store, tmp_path: Path) -> Iterator[ExporterProcess]:
    put_summary(s3_store, summary(RUN))
    put_summary(s3_store, summary(RUNNING, state="running", finished=None))
    process = ExporterProcess(tmp_path / "exporter.log")
    wait_until(lambda: process.status("/healthz") == 200)
    yield process
    process.process.kill()
    process.process.wait()


def answer(exporter: ExporterProcess, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Returns status, headers and body; sends the path unchanged."""
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=180)
    try:
        connection.request(method, path)
        found = connection.getresponse()
        return found.status, {name.lower(): value for name, value in found.getheaders()}, found.read()
    finally:
        connection.close()


def test_the_current_report_and_figures_are_served(exporter: ExporterProcess, s3_store: Store) -> None:
    wait_until(lambda: "There is no report: " in exporter.get(f"/runs/{RUN}"))
    s3_store.put(f"runs/{RUN}/report.html", REPORT)
    s3_store.put(f"runs/{RUN}/figures/loss_and_accuracy.png", PNG)
    status, headers, body = answer(exporter, f"/runs/{RUN}")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert b"<h1>The report</h1>" in body and NAVIGATION.encode() not in body
    assert b'<span aria-current="true">Runs</span>' in body and f'<a href="/runs/{RUN}/facts">'.encode() in body
    status, headers, body = answer(exporter, f"/runs/{RUN}/figures/loss_and_accuracy.png")
    assert (status, headers["content-type"], body) == (200, "image/png", PNG)
    assert answer(exporter, f"/runs/{RUN}/figures/loss_and_accuracy.png", "HEAD")[2] == b""
    s3_store.put(f"runs/{RUN}/report.html", REPORT.replace(b"The report", b"Another one"))
    assert "Another one" in exporter.get(f"/runs/{RUN}/"), "an outdated copy is not served"
    s3_store.delete(f"runs/{RUN}/report.html")
    assert "There is no report: " in exporter.get(f"/runs/{RUN}")
    facts = exporter.get(f"/runs/{RUN}/facts")
    assert f'<a href="/runs/{RUN}">Report</a>' in facts and "test accuracy" in facts


def test_a_running_run_shows_its_facts_and_not_the_report_of_its_last_try(
    exporter: ExporterProcess, s3_store: Store
) -> None:
    s3_store.put(f"runs/{RUNNING}/report.html", REPORT)
    page = exporter.get(f"/runs/{RUNNING}")
    assert "The report is built after the run has ended." in page and "The report</h1>" not in page


def test_a_lost_run_says_how_to_end_it(exporter: ExporterProcess, s3_store: Store) -> None:
    put_summary(s3_store, summary("20261123T030000Z-00000077", state="running", finished=None, lost_after=180.0))
    wait_until(lambda: exporter.get("/").count("00000077") or None, "the page of runs names it", 30)
    page = exporter.get("/runs/20261123T030000Z-00000077")
    assert "catwalk finish 20261123T030000Z-00000077 to end it" in page


def test_no_other_object_can_be_reached(exporter: ExporterProcess, s3_store: Store) -> None:
    for key in (f"runs/{RUN}/run.json", f"runs/{RUN}/figures/run.png", "runs/secret.png", f"runs/{RUN}/secret.png"):
        s3_store.put(key, PNG)
    assert answer(exporter, f"/runs/{RUN}/figures/run.png")[0] == 200
    for path in (
        f"/runs/{RUN}/run.json",
        f"/runs/{RUN}/figures/../run.json",
        f"/runs/{RUN}/figures/../secret.png",
        f"/runs/{RUN}/figures/..%2fsecret.png",
        f"/runs/{RUN}/figures/%2e%2e/secret.png",
        f"/runs/{RUN}/figures/run.png/",
        f"/runs/{RUN}/figures/",
        f"/runs/{RUN}/figures/.png",
        f"/runs/{RUN}/figures/Run.png",
        f"/runs/{RUN}/figures/none.png",
        "/runs/../secret.png",
        "/runs/20200101T000000Z-00000000/figures/run.png",
        f"/runs/{RUN}/facts/figures/run.png",
    ):
        assert answer(exporter, path)[0] == 404, path


def test_while_s3_is_down_the_facts_are_shown_at_once(
    exporter: ExporterProcess, s3_store: Store, s3_server: S3Server
) -> None:
    s3_store.put(f"runs/{RUN}/report.html", REPORT)
    assert "The report</h1>" in exporter.get(f"/runs/{RUN}")
    s3_server.stop()
    try:
        page = exporter.get(f"/runs/{RUN}")
        assert "can&#x27;t be fetched" in page or "could not be fetched" in page
        assert "test accuracy" in page
        wait_until(lambda: "while the store does not answer" in exporter.get(f"/runs/{RUN}"))
        assert answer(exporter, f"/runs/{RUN}/figures/loss_and_accuracy.png")[0] == 503
    finally:
        s3_server.start()
    wait_until(lambda: "The report</h1>" in exporter.get(f"/runs/{RUN}"))
    assert "Traceback" not in exporter.log.read_text()


def test_what_has_not_changed_is_not_read_again(s3_store: Store) -> None:
    operations: Counter[str] = Counter()
    store = S3Store(s3_store.url, lambda operation, seconds, failed: operations.update([operation]))
    reports = RunReports(store)
    s3_store.put(f"runs/{RUN}/figures/a.png", PNG)
    assert [reports.figure(RUN, "a") for _ in range(5)] == [PNG] * 5
    assert operations == {"head": 5, "get": 1}
    s3_store.put(f"runs/{RUN}/figures/a.png", PNG + b"2")
    assert reports.figure(RUN, "a") == PNG + b"2"
    assert reports.figure(RUN, "b") is None
    assert reports.page(RUN) is None

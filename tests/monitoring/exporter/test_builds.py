"""Reports that don't exist yet: the exporter builds them for the first visitor."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import catwalk
from catwalk.ledger.runs import Ledger, Run
from catwalk.report import build as made
from catwalk.storage.file_store import FileStore
from catwalk.storage.store import Store
from catwalk_exporter import build
from catwalk_exporter.builds import Builds, Outcome
from tests.monitoring.exporter.test_exporter_process import ExporterProcess
from tests.support.ledgers import put_summary, summary
from tests.support.servers import S3Server, wait_until

pytestmark = pytest.mark.integration

BUILT, MODULE = "Built 20", "catwalk_exporter.build"
FAILING = "20261122T030000Z-00000001"
"""A run that has only a summary."""
BUILT_WITHIN = build.SECONDS + 60.0
"""Seconds. A build yields to everything else on the machine, such as the other tests, until its own time limit."""


@pytest.fixture
def file_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty folder, which the environment points to as well."""
    for name in ("CATWALK_STATSD", "CATWALK_AIRFLOW_URL", "CATWALK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    store = FileStore((tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_STORE", store.url)
    return store


@contextmanager
def exporting(folder: Path) -> Iterator[ExporterProcess]:
    process = ExporterProcess(folder / "exporter.log")
    try:
        wait_until(lambda: process.status("/healthz") == 200)
        yield process
    finally:
        process.process.kill()
        process.process.wait()


@pytest.fixture
def exporter(file_store: Store, tmp_path: Path) -> Iterator[ExporterProcess]:
    with exporting(tmp_path) as process:
        yield process


def logged() -> str:
    """Returns the id of a run that has logged an epoch and was tested."""
    labels = np.arange(400) % 2
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.epoch(1, train={"loss": 0.5})
        run.test(labels, np.where(labels, 0.8, 0.3))
    return run.run_id


def seen(exporter: ExporterProcess, run_id: str, text: str) -> str:
    """Waits until the run's page contains a text."""

    def looked() -> str:
        found = exporter.get(f"/runs/{run_id}") if exporter.status(f"/runs/{run_id}") == 200 else ""
        return found if text in found else ""

    return wait_until(looked, f"{text!r} on the page of {run_id}", BUILT_WITHIN)


def builders(exporter: ExporterProcess) -> list[psutil.Process]:
    children = psutil.Process(exporter.process.pid).children()
    return [child for child in children if MODULE in child.cmdline()]


@pytest.mark.parametrize("kind", ["file_store", "s3_store"])
def test_the_first_visit_builds_a_report_and_the_next_is_served_from_the_ledger(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store: Store = request.getfixturevalue(kind)
    run_id = logged()
    assert store.etag(f"runs/{run_id}/report.html") is None
    with exporting(tmp_path) as exporter:
        page = seen(exporter, run_id, "The report is being built")
        assert '<meta http-equiv="refresh" content="2">' in page and "test log loss" in page
        report = seen(exporter, run_id, BUILT)
        assert '<a href="/"><span aria-current="true">Runs</span></a>' in report and "http-equiv" not in report
        assert f"runs/{run_id}/figures/roc.png" in {entry.key for entry in store.list(f"runs/{run_id}/figures/")}
        assert exporter.status(f"/runs/{run_id}/figures/roc.png") == 200
        stored = store.get(f"runs/{run_id}/report.html").body
        store.put(f"runs/{run_id}/report.html", stored.replace(BUILT.encode(), b"Served from the ledger, built 20"))
        assert "Served from the ledger" in exporter.get(f"/runs/{run_id}")
        maps = Path(f"/proc/{exporter.process.pid}/maps")
        assert not maps.exists() or "matplotlib" not in maps.read_text()
        assert "kept here" not in exporter.log.read_text()


def test_the_report_of_a_run_that_continued_in_the_meantime_is_not_kept(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, the report of a failed attempt would stay that of the next attempt, which shipped, for good."""
    run, whole = Ledger(file_store).run(logged()), made.build

    def kept(**changes: Any) -> bool:
        def meanwhile(run: Run) -> made.Report:
            report = whole(run)
            run.update_summary(lambda found: replace(found, **changes))
            return report

        monkeypatch.setattr(made, "build", meanwhile)
        build._build(run, tmp_path)
        return file_store.find(run.key("report.html")) is not None

    assert kept()
    assert not kept(updated=time.time() + 1)
    assert kept() and not kept(state="running") and not kept()


def test_nothing_waits_for_a_build_and_one_is_made_at_a_time(exporter: ExporterProcess) -> None:
    first, second = logged(), logged()
    seen(exporter, first, "is being built")
    wait_until(lambda: builders(exporter), "the first build")
    (builder,) = builders(exporter)
    builder.suspend()
    seen(exporter, second, "is being built")
    assert "is being built" in exporter.get(f"/runs/{first}")
    assert exporter.status("/healthz") == exporter.status("/metrics") == exporter.status("/") == 200
    assert [child.pid for child in builders(exporter)] == [builder.pid]
    builder.resume()
    for run_id in (first, second):
        seen(exporter, run_id, BUILT)


def test_the_end_of_the_exporter_ends_a_build(exporter: ExporterProcess) -> None:
    seen(exporter, logged(), "is being built")
    wait_until(lambda: builders(exporter), "the build")
    (builder,) = builders(exporter)
    builder.suspend()
    exporter.process.terminate()
    assert exporter.process.wait(timeout=60) == 0
    wait_until(lambda: not builder.is_running(), "the end of the build")


def test_the_next_exporter_removes_the_files_of_a_killed_one_and_nothing_else(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run_id = tmp_path / "temporary", logged()
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    (folder / "catwalk-report-of-mine").mkdir()
    (folder / "catwalk-exporter-report-link").symlink_to(tmp_path)

    def left() -> set[Path]:
        return set(folder.iterdir()) - {folder / "catwalk-report-of-mine", folder / "catwalk-exporter-report-link"}

    with exporting(tmp_path) as killed:
        seen(killed, run_id, "is being built")
        wait_until(lambda: builders(killed) and left(), "the build")
        (builder,) = builders(killed)
        builder.suspend()
        at_work = left()
        with exporting(tmp_path):
            assert left() == at_work, "another exporter still works there"
        killed.process.kill()
        killed.process.wait()
        builder.kill()
    assert left() == at_work
    with exporting(tmp_path):
        assert left() == set()
    assert {path.name for path in folder.iterdir()} == {"catwalk-report-of-mine", "catwalk-exporter-report-link"}
    assert file_store.exists(f"runs/{run_id}/run.json")


def test_an_exporter_that_may_only_read_serves_what_was_built(
    s3_store: Store, s3_server: S3Server, tmp_path: Path
) -> None:
    run_id = logged()
    s3_server.stop()
    s3_server.start("--readonly")
    try:
        with exporting(tmp_path) as exporter:
            assert '<a href="/"><span aria-current="true">Runs</span></a>' in seen(exporter, run_id, BUILT)
            assert exporter.status(f"/runs/{run_id}/figures/roc.png") == 200
            assert s3_store.etag(f"runs/{run_id}/report.html") is None
            log = exporter.log.read_text()
            assert log.count(f"built the report of {run_id}, kept here: ") == 1 and "AccessDenied" in log
    finally:
        s3_server.stop()
        s3_server.start()


def test_a_failed_build_is_reported_and_not_retried_at_every_visit(
    exporter: ExporterProcess, file_store: Store
) -> None:
    put_summary(file_store, summary(FAILING))
    page = seen(exporter, FAILING, "There is no report: ")
    told = f"no report: there is no run {FAILING}; `catwalk runs` lists the runs. Open this page in ten minutes"
    assert told in page and f"or run catwalk report {FAILING} to build it now." in page and "http-equiv" not in page
    assert all("There is no report: " in exporter.get(f"/runs/{FAILING}") for _ in range(5))
    assert exporter.log.read_text().count("could not be built") == 1
    put_summary(file_store, summary(FAILING, updated=time.time()))
    wait_until(lambda: seen(exporter, FAILING, "report") and exporter.log.read_text().count("could not be built") == 2)
    assert "Traceback" not in exporter.log.read_text()


def test_only_a_visit_to_a_run_of_the_ledger_builds(exporter: ExporterProcess) -> None:
    run_id = logged()
    wait_until(lambda: exporter.status(f"/runs/{run_id}/facts") == 200)
    for path in ("/runs/20200101T000000Z-00000000", "/runs/../etc", "/runs/x/figures/roc.png"):
        assert exporter.status(path) == 404
    assert exporter.status(f"/runs/{run_id}/figures/roc.png") == 404
    assert builders(exporter) == [] and "report" not in exporter.log.read_text()


def test_without_matplotlib_the_page_says_what_to_install(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('nothing here', name='matplotlib')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run_id = logged()
    with exporting(tmp_path) as exporter:
        page = seen(exporter, run_id, "There is no report: ")
        assert "matplotlib is not installed; run pip install &#x27;catwalk-mlops[report]&#x27;" in page


def outcome(build: str) -> Outcome:
    """Returns the result of a program that builds."""
    builds = Builds(
        (sys.executable, "-c", f"import sys, time, catwalk_exporter.build as made\n{build}\nsys.exit(made.main())")
    )
    try:
        found = wait_until(lambda: builds.ask((FAILING,), (1.0,)), "the end of the build")
    finally:
        builds.stop()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("made.SECONDS = 1; made._build = lambda run, folder: time.sleep(600)", "it took too long"),
        (
            "made.MEMORY_BYTES = 2**27; made._build = lambda run, folder: bytearray(2**28)",
            "it takes more than 128 MiB of memory",
        ),
        ("import os; os.kill(os.getpid(), 9)", "it was killed by SIGKILL; is there enough memory?"),
        ("import os; os._exit(3)", "exit code 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_build_is_bounded_and_its_end_is_reported(build: str, expected: str, file_store: Store) -> None:
    assert outcome(build).failure == expected


def test_the_result_for_another_version_of_the_run_does_not_count() -> None:
    assert Outcome((1.0,), "it failed").stands((1.0,))
    assert not Outcome((1.0,), "it failed").stands((2.0,))
    assert not Outcome((1.0,), "it failed", since=time.monotonic() - 3_600).stands((1.0,))
    assert Outcome((1.0,), files={"report.html": b""}, since=time.monotonic() - 3_600).stands((1.0,))

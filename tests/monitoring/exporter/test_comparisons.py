"""Any runs compared by the exporter: built beside its other work, cached, and refused in one sentence."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

import catwalk
from catwalk.storage.file_store import FileStore
from catwalk_exporter import build
from tests.monitoring.exporter.test_builds import BUILT_WITHIN, FAILING, exporting
from tests.monitoring.exporter.test_exporter_process import ExporterProcess
from tests.monitoring.exporter.test_run_reports import answer
from tests.support.ledgers import put_summary, summary
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

BUILT, WAITS = "runs compared</h1>", "is being built"


def logged(model: str, seed: int) -> str:
    """Returns the id of a run that was tested on the same examples as the others of its model."""
    draw, labels = np.random.default_rng(seed), np.arange(600) % 2
    with catwalk.run(model, catwalk.Binary(), params={"depth": seed}) as run:
        run.epoch(1, train={"loss": 0.5 + seed})
        run.test(labels, np.clip(np.where(labels, 0.8, 0.3) + draw.normal(0, 0.1, 600), 0.01, 0.99), keys=range(600))
    return run.run_id


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Ids of three runs, oldest first, in the store that the environment names."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CATWALK_STATSD", "CATWALK_AIRFLOW_URL", "CATWALK_COURIER_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("CATWALK_STORE", (tmp_path_factory.mktemp("compared") / "ledger").as_uri())
        yield sorted(logged("churn", seed) for seed in range(3))


@pytest.fixture(scope="module")
def exporter(runs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExporterProcess]:
    with exporting(tmp_path_factory.mktemp("exporter")) as process:
        wait_until(lambda: all(process.status(f"/runs/{run_id}/facts") == 200 for run_id in runs), "the runs")
        yield process


def address(*run_ids: str) -> str:
    return f"/compare?{'&'.join(f'run={run_id}' for run_id in run_ids)}"


def seen(exporter: ExporterProcess, path: str, text: str = BUILT) -> str:
    """Waits until the page contains a text."""

    def looked() -> str:
        body = answer(exporter, path)[2].decode()
        return body if text in body else ""

    return wait_until(looked, f"{text!r} at {path}", BUILT_WITHIN)


def test_a_comparison_is_built_at_the_first_visit_and_cached(exporter: ExporterProcess, runs: list[str]) -> None:
    path = address(*runs)
    status, _, body = answer(exporter, path)
    assert (status, b'<meta http-equiv="refresh" content="2">' in body, WAITS.encode() in body) == (202, True, True)
    page = seen(exporter, path)
    assert f"<h1>3 {BUILT}" in page and "http-equiv" not in page and "Parameters that differ" in page
    assert all(f'<a href="/runs/{run_id}">' in page for run_id in runs), "each links to its report"
    assert f'<option value="{runs[0]}" selected>' in page and '<a href="/models">' in page
    assert answer(exporter, path)[0] == 200
    assert exporter.log.read_text().count(f"built the comparison of {', '.join(runs)}") == 1
    assert "kept here" not in exporter.log.read_text()


def test_the_form_of_the_list_leads_to_the_address_of_the_comparison(
    exporter: ExporterProcess, runs: list[str]
) -> None:
    form = f"/compare?q=&model=churn&owner=&sort=-started&size=100&run={runs[1]}&run={runs[0]}"
    status, headers, _ = answer(exporter, form)
    assert (status, headers["location"]) == (303, address(*runs[:2]))
    with urllib.request.urlopen(f"http://127.0.0.1:{exporter.port}{form}") as followed:
        assert followed.url.endswith(address(*runs[:2]))


def test_another_baseline_is_another_comparison(exporter: ExporterProcess, runs: list[str]) -> None:
    path = f"{address(*runs[:2])}&baseline={runs[1]}"
    page = seen(exporter, path)
    assert f'<option value="{runs[1]}" selected>' in page
    assert page.index(f'href="/runs/{runs[1]}"') < page.index(f'href="/runs/{runs[0]}"'), "the baseline comes first"


def test_nothing_waits_for_a_comparison(exporter: ExporterProcess, runs: list[str]) -> None:
    path = address(runs[0], runs[2])

    def builders() -> list[psutil.Process]:
        children = psutil.Process(exporter.process.pid).children()
        return [child for child in children if "catwalk_exporter.build" in child.cmdline()]

    assert answer(exporter, path, "HEAD")[0] == 202 and builders() == [], "only a visit builds it"
    seen(exporter, path, WAITS)
    [builder] = wait_until(builders, "the build")
    builder.suspend()
    try:
        assert exporter.status("/metrics") == exporter.status("/") == exporter.status("/healthz") == 200
        assert answer(exporter, path)[0] == 202
    finally:
        builder.resume()
    seen(exporter, path)


def test_runs_that_cannot_be_compared_are_one_sentence(exporter: ExporterProcess, runs: list[str]) -> None:
    for path, status, sentence in (
        ("/compare", 400, "no run is selected"),
        (address(runs[0]), 400, "one run is selected"),
        (address(runs[0], "20200101T000000Z-00000000"), 404, "There is no run 20200101T000000Z-00000000."),
        ("/compare?run=" + "x" * 10_000, 414, "too long"),
        ("/?sort=nonsense", 400, "There is no sort"),
        ("/?page=9999", 404, "There is no page 9,999"),
        ("/?q=" + "x" * 10_000, 414, "too long"),
    ):
        found, _, body = answer(exporter, path)
        assert (found, sentence in body.decode()) == (status, True), path
    assert answer(exporter, "/?q=" + "x" * 100_000)[0] == 414, "longer than any line of a request"
    assert "Traceback" not in exporter.log.read_text()


def test_a_comparison_that_fails_says_why(exporter: ExporterProcess, runs: list[str]) -> None:
    put_summary(FileStore(store_of(exporter)), summary(FAILING))
    wait_until(lambda: exporter.status(f"/runs/{FAILING}/facts") == 200, "the run")
    path = address(FAILING, runs[0])
    page = seen(exporter, path, "could not be built")
    assert f"The comparison could not be built: there is no run {FAILING};" in page
    assert answer(exporter, path)[0] == 500
    assert exporter.log.read_text().count("could not be built") == 1
    assert "Traceback" not in exporter.log.read_text()


def store_of(exporter: ExporterProcess) -> str:
    return str(psutil.Process(exporter.process.pid).environ()["CATWALK_STORE"])


def test_while_the_store_is_down_nothing_is_built(runs: list[str], tmp_path: Path) -> None:
    """The exporter still shows what it built before."""
    with exporting(tmp_path) as exporter:
        wait_until(lambda: exporter.status(f"/runs/{runs[0]}/facts") == 200, "the runs")
        seen(exporter, address(*runs[:2]))
        folder = Path(store_of(exporter).removeprefix("file://"))
        folder.rename(folder.with_name("away"))
        folder.write_text("no folder")
        try:
            page = seen(exporter, address(*runs[1:]), "while the store does not answer")
            assert "can&#x27;t be built while" in page and answer(exporter, address(*runs[1:]))[0] == 503
            assert BUILT in seen(exporter, address(*runs[:2]))
        finally:
            folder.unlink()
            folder.with_name("away").rename(folder)


def test_only_the_page_of_a_comparison_is_kept(runs: list[str], tmp_path: Path) -> None:
    """Its figures are in the page; as files, they would use the exporter's memory for nothing."""
    build._compare(runs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").stat().st_size < 2**21

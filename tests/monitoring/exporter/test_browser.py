"""The pages in a real browser, without scripts: as people use them, on a desktop and on a phone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from catwalk.storage.file_store import FileStore
from tests.monitoring.exporter.test_builds import exporting
from tests.monitoring.exporter.test_comparisons import BUILT, logged, seen, store_of
from tests.monitoring.exporter.test_exporter_process import ExporterProcess
from tests.support.browser import DESKTOP, PHONE, PROGRAM, Browser, browsing
from tests.support.ledgers import put_summary, summary
from tests.support.notifying import CourierProcess, notification
from tests.support.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.skipif(not PROGRAM, reason="no Chromium on the PATH")]

LONG = "probability-of-default-of-small-and-medium-enterprises-in-the-eu"
SUMMARIES = 60
SECTIONS = "[...document.querySelectorAll('nav.site a')].map(link => link.textContent)"


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExporterProcess]:
    """Pages of a ledger with two runs to compare and many that are only summaries."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CATWALK_STATSD", "CATWALK_AIRFLOW_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("CATWALK_STORE", (tmp_path_factory.mktemp("browsed") / "ledger").as_uri())
        for seed in range(2):
            logged("churn", seed)
        with exporting(tmp_path_factory.mktemp("exporter")) as process:
            store, now = FileStore(store_of(process)), time.time()
            for number in range(SUMMARIES):
                values = {"model": LONG, "owner": "credit risk", "started": now - 200_000, "updated": now - 100_000}
                put_summary(store, summary(f"20250101T0000{number:02}Z-{number:08x}", **values, finished=now - 100_000))
            wait_until(lambda: f"of {SUMMARIES + 2} runs" in process.get("/"), "all runs")
            yield process


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def test_runs_are_found_selected_across_pages_and_compared(browser: Browser, exporter: ExporterProcess) -> None:
    browser.look(DESKTOP)
    browser.open(f"http://127.0.0.1:{exporter.port}/?size=25")
    browser.until(f"1–25 of {SUMMARIES + 2} runs")
    browser.click("tbody tr:nth-child(1) input")
    browser.click("button[name=page][value='2']")
    assert "Also selected" in browser.until("Page 2 of 3")
    browser.click("th button[value=model]")
    assert browser.until("model ↑").index("churn") < browser.text.index(LONG[:20])
    browser.type("input[name=q]", "churn")
    browser.click("button.main")
    browser.until("1–2 of 2 runs")
    browser.click("tbody tr:nth-child(2) input")
    browser.click("button[formaction]")
    assert f"2 {BUILT.removesuffix('</h1>')}" in browser.until("Baseline")
    assert "/compare?run=2" in browser.address and "q=" not in browser.address
    browser.click("nav.site a")
    browser.until("Search")


def test_no_page_is_wider_than_its_window(browser: Browser, exporter: ExporterProcess, tmp_path: Path) -> None:
    """This holds in either width and scheme; and no policy forbids a part of a page."""
    url = f"http://127.0.0.1:{exporter.port}"
    courier = CourierProcess(tmp_path)
    try:
        assert courier.post(notification("StoreUnavailable"))[0] == 200
        runs = re.findall(r'name="run" value="([^"]+)"', exporter.get("/?model=churn"))
        built = [f"/runs/{runs[0]}", f"/compare?run={min(runs)}&run={max(runs)}"]  # any other order is redirected
        for page in built:
            seen(exporter, page, "Built 20")
        pages = ["/", "/?page=9999", "/?q=nothing", "/models", "/nothing", "/compare", f"{built[0]}/facts", *built]
        addresses = [f"{url}{page}" for page in pages]
        addresses += [f"{courier.url}{page}" for page in ("/", "/runbooks/", "/runbooks/ModelPlateaued", "/nothing")]
        for width, dark in product((DESKTOP, PHONE), (False, True)):
            browser.look(width, dark)
            for address in addresses:
                browser.open(address)
                assert {"Runs", "Models"} <= set(browser.evaluate(SECTIONS)), address
                assert browser.overflow == 0, (address, width)
    finally:
        courier.kill()
    assert [one for one in browser.complaints if "status of 4" not in one] == []

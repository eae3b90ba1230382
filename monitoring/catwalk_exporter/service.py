"""The exporter: serves what *is so* (run states, latest and champion model, decisions) from the ledger to Prometheus.

A background thread reads the ledger, another renders the exposition once a refresh; a scrape is handed the finished
bytes. While the store is out, the last known values stay and ``catwalk_store_up`` is 0. Reports and figures alone are
fetched from it when they are asked for, within seconds or not at all; a report that is missing is built in a process of
its own.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from catwalk.clients.airflow_health import AirflowHealth
from catwalk.errors import CatwalkError, StoreError
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import RUN_ID
from catwalk.ledger.summaries import shown_state
from catwalk.storage.opening import open_store
from catwalk.storage.store import Patience
from catwalk.web import serving
from catwalk_exporter import model_pages, pages
from catwalk_exporter.builds import Builds
from catwalk_exporter.canary import Canary
from catwalk_exporter.disks import disks
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.run_reports import BusyError, RunReports, linked
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from catwalk_exporter.workplace import remove_abandoned

log = logging.getLogger("catwalk.exporter")

REPORT_CONNECT_SECONDS, REPORT_READ_SECONDS = 2.0, 4.0
"""How long a person who asks for a report waits for the store before the facts are shown instead."""
LOOK_SECONDS = 2
"""From one look of a page at a report that is being built to the next."""
STUCK_SECONDS = 15.0
"""A read of the ledger that takes longer counts as an outage, though it may still come back."""
STALE_SECONDS = 60.0
"""A rendering that is older says no longer what is so."""
_NAMED_AT_ONCE = 5


@dataclass(frozen=True)
class Reading:
    """How the reading of the ledger goes."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    ok: bool = False
    """The last read succeeded."""
    tried: bool = False
    """A read has ended, well or badly."""
    began: float | None = None
    """Monotonic start of the read that is under way."""

    def store_up(self, now: float) -> bool:
        """Whether the store answers, at a monotonic time."""
        return self.ok and not self.stuck(now)

    def stuck(self, now: float) -> bool:
        """Whether the read under way takes suspiciously long."""
        return self.began is not None and now - self.began > STUCK_SECONDS


class Exporter:
    """Reads and renders in the background; what it serves is always ready."""

    def __init__(self, settings: Settings, refresh: float, canary: Canary | None) -> None:
        """
        Args:
            settings: what the environment says.
            refresh: seconds between two reads of the ledger, and between two renderings.
            canary: whose sent lines are counted; None where telemetry is off.
        """
        self.settings = settings
        self.text: bytes | None = None
        """The exposition; None until the first read has ended."""
        self._rendered = -math.inf
        self._refresh = refresh
        self._canary = canary
        self._exposition = Exposition(settings)
        store = open_store(on_operation=self._exposition.store_operation)
        self._reader = LedgerReader(store)
        self.reports = RunReports(
            open_store(store.url, patience=Patience(REPORT_CONNECT_SECONDS, REPORT_READ_SECONDS, tries=1))
        )
        """Whose reads don't count as operations of the store: nobody asks at regular times."""
        remove_abandoned()
        self.builds = Builds()
        self._airflow = AirflowHealth(os.environ.get("CATWALK_AIRFLOW_URL", ""), refresh)
        self._reading = Reading()
        self._lock = threading.Lock()
        self._stopped, self._news = threading.Event(), threading.Event()
        self._damaged: set[str] = set()
        self._failure = ""

    @property
    def reading(self) -> Reading:
        """How the reading of the ledger goes."""
        return self._reading

    @property
    def renders(self) -> bool:
        """Whether `text` is of this moment, or nearly."""
        return time.monotonic() - self._rendered < max(STALE_SECONDS, 3 * self._refresh)

    def start(self) -> None:
        """Starts the threads. They are daemons: a request that hangs doesn't keep the process alive."""
        self._airflow.start()
        if self._canary:
            self._canary.start()
        for loop in (self._read_loop, self._render_loop):
            threading.Thread(target=loop, name=loop.__name__.strip("_"), daemon=True).start()

    def stop(self) -> None:
        """Lets the threads end; waits for none of them."""
        self._stopped.set()
        self._news.set()
        self.builds.stop()
        self._airflow.stop()
        if self._canary:
            self._canary.stop()

    def _update(self, **changes: object) -> None:
        with self._lock:
            self._reading = Reading(**{**vars(self._reading), **changes})

    def _read_loop(self) -> None:
        while not self._stopped.is_set():
            self._update(began=time.monotonic())
            try:
                self._reader.read(time.time(), self._publish)
                self._update(ok=True, tried=True, began=None)
                self._say("")
            except CatwalkError as error:
                self._update(ok=False, tried=True, began=None)
                self._say(str(error))
            except Exception as error:  # a reader that dies in silence would freeze every value
                self._update(ok=False, tried=True, began=None)
                self._say(f"unexpected {type(error).__name__}: {error}")
            self._news.set()
            self._stopped.wait(self._refresh)

    def _publish(self, snapshot: Snapshot) -> None:
        self._update(snapshot=snapshot, ok=True)
        self._news.set()
        damaged = sorted(snapshot.damaged.keys() - self._damaged)
        for key in damaged[:_NAMED_AT_ONCE]:
            log.warning("%s is damaged and left out: %s", key, snapshot.damaged[key])
        if len(damaged) > _NAMED_AT_ONCE:
            log.warning("%d more are damaged and left out; the page / lists them", len(damaged) - _NAMED_AT_ONCE)
        self._damaged = set(snapshot.damaged)

    def _say(self, failure: str) -> None:
        """One line when reading begins to fail, and one when it works again."""
        if failure and not self._failure:
            log.error("%s", " ".join(failure.split()))
        elif self._failure and not failure:
            log.info("the store answers again")
        self._failure = failure

    def _render_loop(self) -> None:
        while not self._stopped.is_set():
            self._news.wait(self._refresh)
            self._news.clear()
            try:
                self._render()
            except Exception:  # the values before stay; without a line nobody would know that they are old
                log.exception("the metrics could not be rendered")

    def _render(self) -> None:
        reading, monotonic = self._reading, time.monotonic()
        read = reading.tried or reading.stuck(monotonic)
        if not (read and self._airflow.asked):  # what is left out would seem to be gone
            return
        facts = Facts(
            snapshot=reading.snapshot,
            store_up=reading.store_up(monotonic),
            airflow=self._airflow.components,
            canary_sent=self._canary.sent if self._canary else None,
            now=time.time(),
            dags_paused=self._airflow.paused,
            dag_failures=self._airflow.failures,
            dag_schedules=self._airflow.schedules,
            disks=disks(self.settings.disks),
        )
        self.text, self._rendered = self._exposition.render(facts), monotonic


class UnreachableError(Exception):
    """The store can't be asked for what a page needs. The message is a sentence for the page."""


class Server(serving.Server):
    """Serves one exporter."""

    def __init__(self, address: tuple[str, int], exporter: Exporter) -> None:
        self.exporter = exporter
        super().__init__(address, Handler)


class Handler(serving.Handler):
    """Answers from memory; only reports and figures are fetched from the store, and reports built where it has none."""

    name = "catwalk-exporter"
    policy = f"{serving.Handler.policy}; img-src data:"
    server: Server
    _RUN: ClassVar = re.compile(rf"/runs/({RUN_ID.pattern})(?:/|/(facts)/?|/figures/([a-z_]+)\.png)?")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        exporter = self.server.exporter
        reading, now = exporter.reading, time.time()
        up = reading.store_up(time.monotonic())
        run = self._RUN.fullmatch(path)
        summary = reading.snapshot.summary(run[1]) if run else None
        figure = run[3] if run else None
        if path == "/metrics":
            text = exporter.text
            if text is None:
                self._answer(503, b"the ledger has not been read yet\n", "text/plain")
            else:
                self._answer(200, text, "text/plain; version=0.0.4")
        elif path == "/healthz":
            ready = exporter.renders
            waits = b"starting\n" if exporter.text is None else b"its metrics are old; see its log\n"
            self._answer(200 if ready else 503, b"ok\n" if ready else waits, "text/plain")
        elif path == "/":
            self._page(200, pages.index(reading.snapshot, up, now, exporter.settings.stalled_seconds))
        elif path == "/models":
            settings = self.server.exporter.settings
            self._page(200, model_pages.models(reading.snapshot, settings, time.time(), up))
        elif summary and figure:
            self._figure(summary.run_id, figure, up)
        elif run and summary:
            self._run(summary, bool(run[2]), up)
        else:
            self._page(404, pages.not_found())

    do_HEAD = do_GET

    def _run(self, summary: SummaryRecord, facts: bool, up: bool) -> None:
        shown = None if facts else self._report(summary, up)
        if not isinstance(shown, bytes):
            stalled = self.server.exporter.settings.stalled_seconds
            self._page(200, pages.run_page(summary, up, time.time(), stalled, shown))
        else:
            self._page(200, shown)

    def _report(self, summary: SummaryRecord, up: bool) -> bytes | pages.Notice:
        """A run's report, or why there is none. Who looks at a run that has none has it built."""
        exporter, run_id = self.server.exporter, summary.run_id
        if summary.state == "running":
            return pages.Notice(self._when_it_has_ended(summary))
        try:
            report = self._fetch(lambda: exporter.reports.page(run_id), up)
        except UnreachableError as error:
            return pages.Notice(str(error))
        if report or self.command == "HEAD":
            return report or pages.Notice("")
        outcome = exporter.builds.ask(run_id, summary.updated)
        if outcome is None:
            return pages.Notice("The report is being built; this page shows it as soon as it is there.", LOOK_SECONDS)
        if outcome.failure:
            return pages.Notice(
                f"There is no report: {outcome.failure}. It is tried again at a look in ten minutes, or now by "
                f"catwalk report {run_id}."
            )
        return linked(run_id, outcome.files["report.html"])

    def _when_it_has_ended(self, summary: SummaryRecord) -> str:
        if shown_state(summary, time.time(), self.server.exporter.settings.stalled_seconds) != "lost":
            return "The report is built when the run has ended."
        return f"The run has fallen silent. catwalk finish {summary.run_id} ends it; then its report is built."

    def _figure(self, run_id: str, name: str, up: bool) -> None:
        exporter = self.server.exporter
        try:
            body = self._fetch(lambda: exporter.reports.figure(run_id, name), up)
        except UnreachableError as error:
            self._answer(503, f"{error}\n".encode(), "text/plain")
            return
        body = body or exporter.builds.file(run_id, f"figures/{name}.png")
        if body is None:
            self._page(404, pages.not_found())
        else:
            self._answer(200, body, "image/png")

    def _fetch(self, read: Callable[[], bytes | None], up: bool) -> bytes | None:
        """
        Raises:
            UnreachableError: the store can't be asked; the message is for the page.
        """
        if not up:
            raise UnreachableError("The report can't be fetched while the store does not answer.")
        try:
            return read()
        except (StoreError, BusyError) as error:
            log.warning("a report could not be fetched: %s", str(error) or "too many wait for the store")
            raise UnreachableError("The report could not be fetched from the store; try again.") from error

"""The exporter: serves the current state (run states, latest and champion model, decisions) from the ledger to
Prometheus.

A background thread reads the ledger, and another renders the exposition at every refresh; a scrape gets the finished
bytes. While the store is unavailable, the last known values stay and ``catwalk_store_up`` is 0. Only reports and
figures are fetched on request, with a timeout of seconds; a missing report is built in a separate process.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from catwalk.clients.airflow_health import AirflowHealth
from catwalk.errors import CatwalkError, StoreError
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.runs import RUN_ID
from catwalk.storage.opening import open_store
from catwalk.storage.store import Patience
from catwalk.web import serving
from catwalk_exporter.builds import Builds
from catwalk_exporter.canary import Canary
from catwalk_exporter.disks import disks
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.pages import comparison, models, run_facts, run_list, run_query
from catwalk_exporter.pages.run_facts import Notice
from catwalk_exporter.pages.view import QueryError, View
from catwalk_exporter.run_reports import BusyError, RunReports
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from catwalk_exporter.workplace import remove_abandoned

log = logging.getLogger("catwalk.exporter")

REPORT_CONNECT_SECONDS, REPORT_READ_SECONDS = 2.0, 4.0
"""How long a request for a report waits for the store before the facts are shown instead."""
LOOK_SECONDS = 2
"""How often a page checks for a report that is being built."""
STUCK_SECONDS = 15.0
"""A read of the ledger that takes longer counts as an outage, though it may still come back."""
STALE_SECONDS = 60.0
"""An older rendering no longer counts as current."""
_NAMED_AT_ONCE = 5


@dataclass(frozen=True)
class Reading:
    """The state of reading the ledger."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    ok: bool = False
    """Whether the last read succeeded."""
    tried: bool = False
    """Whether a read has ended, with success or not."""
    began: float | None = None
    """The monotonic start time of the current read."""

    def store_up(self, now: float) -> bool:
        """Returns whether the store answers, at a monotonic time."""
        return self.ok and not self.stuck(now)

    def stuck(self, now: float) -> bool:
        """Returns whether the current read takes suspiciously long."""
        return self.began is not None and now - self.began > STUCK_SECONDS


class Exporter:
    """Reads and renders in the background, so that its answers are always ready."""

    def __init__(self, settings: Settings, refresh: float, canary: Canary | None) -> None:
        """
        Args:
            settings: The settings from the environment.
            refresh: Seconds between two reads of the ledger, and between two renderings.
            canary: The canary whose sent lines are counted; None if telemetry is off.
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
        """Its reads don't count as operations of the store, because requests come at irregular times."""
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
        """The state of reading the ledger."""
        return self._reading

    def view(self) -> View:
        """Returns what pages show at this moment."""
        reading = self._reading
        return View(reading.snapshot, self.settings, time.time(), reading.store_up(time.monotonic()))

    @property
    def renders(self) -> bool:
        """Whether `text` is current."""
        return time.monotonic() - self._rendered < max(STALE_SECONDS, 3 * self._refresh)

    def start(self) -> None:
        """Starts the threads. They are daemons: a request that hangs doesn't keep the process alive."""
        self._airflow.start()
        if self._canary:
            self._canary.start()
        for loop in (self._read_loop, self._render_loop):
            threading.Thread(target=loop, name=loop.__name__.strip("_"), daemon=True).start()

    def stop(self) -> None:
        """Tells the threads to end, without waiting for them."""
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
            except Exception as error:  # a reader that dies silently would freeze every value
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
        """Logs one line when reading begins to fail, and one when it works again."""
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
            except Exception:  # the previous values stay; without a log line no one would know that they are old
                log.exception("the metrics could not be rendered")

    def _render(self) -> None:
        reading, monotonic = self._reading, time.monotonic()
        read = reading.tried or reading.stuck(monotonic)
        if not (read and self._airflow.asked):  # metrics that are left out would seem to have disappeared
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
    """The store can't provide what a page needs. The message is a sentence for the page."""


class Server(serving.Server):
    """Serves one exporter."""

    def __init__(self, address: tuple[str, int], exporter: Exporter) -> None:
        self.exporter = exporter
        super().__init__(address, Handler)


class Handler(serving.Handler):
    """Answers from memory; only reports and figures are fetched from the store, and missing reports are built."""

    name = "catwalk-exporter"
    policy = f"{serving.Handler.policy}; img-src data:"
    server: Server
    _RUN: ClassVar = re.compile(rf"/runs/({RUN_ID.pattern})(?:/|/(facts)/?|/figures/([a-z_]+)\.png)?")

    def do_GET(self) -> None:
        path, _, parameters = self.path.encode("latin-1").decode(errors="replace").partition("?")
        view = self.server.exporter.view()
        run = self._RUN.fullmatch(path)
        summary = view.snapshot.summary(run[1]) if run else None
        figure = run[3] if run else None
        if path == "/metrics":
            self._metrics()
        elif path == "/healthz":
            self._health()
        elif path == "/":
            self._runs(view, parameters)
        elif path == "/compare":
            self._compare(view, parameters)
        elif path == "/models":
            self._page(200, models.page(view))
        elif summary and figure:
            self._figure(summary.run_id, figure, view)
        elif run and summary:
            self._run(summary, bool(run[2]), view)
        else:
            self._page(404, view.not_found())

    do_HEAD = do_GET

    def _metrics(self) -> None:
        text = self.server.exporter.text
        if text is None:
            self._answer(503, b"the ledger has not been read yet\n", "text/plain")
        else:
            self._answer(200, text, "text/plain; version=0.0.4")

    def _health(self) -> None:
        exporter = self.server.exporter
        ready = exporter.renders
        waits = b"starting\n" if exporter.text is None else b"its metrics are old; see its log\n"
        self._answer(200 if ready else 503, b"ok\n" if ready else waits, "text/plain")

    def _runs(self, view: View, parameters: str) -> None:
        try:
            self._page(200, run_list.page(view, run_query.parsed(parameters)))
        except QueryError as error:
            self._page(error.status, run_list.refusal(view, error))

    def _compare(self, view: View, parameters: str) -> None:
        try:
            runs = comparison.chosen(parameters, view)
        except QueryError as error:
            self._page(error.status, comparison.refusal(view, error))
            return
        address = comparison.address(runs)
        if self.path != address:  # the address from the list's form contains filters
            self._redirect(address)
        else:
            self._page(*self._comparison(view, runs))

    def _comparison(self, view: View, runs: Sequence[SummaryRecord]) -> tuple[int, str | bytes]:
        """Returns the status and page of a comparison; the first request starts its build."""
        builds, run_ids = self.server.exporter.builds, tuple(run.run_id for run in runs)
        version = comparison.version(runs, view.now)
        ask = builds.ask if view.store_up and self.command != "HEAD" else builds.known
        outcome = ask(run_ids, version)
        if outcome and outcome.failure:
            return 500, comparison.refusal(view, QueryError(f"The comparison could not be built: {outcome.failure}."))
        if outcome:
            return 200, comparison.linked(outcome.files["report.html"], view, runs)
        if not view.store_up:
            sentence = "The comparison can't be built while the store does not answer."
            return 503, comparison.refusal(view, QueryError(sentence))
        return 202, comparison.waiting(view, runs, LOOK_SECONDS)

    def _run(self, summary: SummaryRecord, facts: bool, view: View) -> None:
        shown = None if facts else self._report(summary, view)
        if isinstance(shown, bytes):
            self._page(200, run_facts.linked(shown, summary.run_id, view))
        else:
            self._page(200, run_facts.run_page(summary, view, shown))

    def _report(self, summary: SummaryRecord, view: View) -> bytes | Notice:
        """Returns a run's report, or why there is none; the first request starts its build."""
        exporter, run_id = self.server.exporter, summary.run_id
        if summary.state == "running":
            return Notice(_when_it_has_ended(summary, view))
        try:
            report = self._fetch(lambda: exporter.reports.page(run_id), view.store_up)
        except UnreachableError as error:
            return Notice(str(error))
        if report or self.command == "HEAD":
            return report or Notice("")
        outcome = exporter.builds.ask((run_id,), (summary.updated,))
        if outcome is None:
            return Notice("The report is being built. This page shows it as soon as it is ready.", LOOK_SECONDS)
        if outcome.failure:
            return Notice(
                f"There is no report: {outcome.failure}. Open this page in ten minutes or later to try again, or run "
                f"catwalk report {run_id} to build it now."
            )
        return outcome.files["report.html"]

    def _figure(self, run_id: str, name: str, view: View) -> None:
        exporter = self.server.exporter
        try:
            body = self._fetch(lambda: exporter.reports.figure(run_id, name), view.store_up)
        except UnreachableError as error:
            self._answer(503, f"{error}\n".encode(), "text/plain")
            return
        body = body or exporter.builds.file(run_id, f"figures/{name}.png")
        if body is None:
            self._page(404, view.not_found())
        else:
            self._answer(200, body, "image/png")

    def _fetch(self, read: Callable[[], bytes | None], up: bool) -> bytes | None:
        """Reads something from the store.

        Raises:
            UnreachableError: the store can't be asked; the message is for the page.
        """
        if not up:
            raise UnreachableError("The report can't be fetched while the store does not answer.")
        try:
            return read()
        except (StoreError, BusyError) as error:
            log.warning(
                "a report could not be fetched: %s", str(error) or "too many requests are waiting for the store"
            )
            raise UnreachableError("The report could not be fetched from the store; try again.") from error


def _when_it_has_ended(summary: SummaryRecord, view: View) -> str:
    if view.state(summary) != "lost":
        return "The report is built after the run has ended."
    return f"The run is silent. Run catwalk finish {summary.run_id} to end it; its report is then built."

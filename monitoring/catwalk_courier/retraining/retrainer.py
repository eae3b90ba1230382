"""The thread that drives the slots, and its log lines and Grafana annotations."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from catwalk.clients.episodes import Alert, Status
from catwalk.errors import CatwalkError
from catwalk.ledger.records.retraining import SlotRecord
from catwalk.storage.store import Store as Ledger
from catwalk_courier.journal.store import Store
from catwalk_courier.retraining.airflow import Airflow
from catwalk_courier.retraining.driver import Driver
from catwalk_courier.retraining.requests import asking

log = logging.getLogger("catwalk.courier")

_NAME = "Retraining"
"""Name of its annotations."""
_PAUSE = 0.1
"""Seconds between two steps if the second can follow at once."""


class Retrainer:
    """Runs between :meth:`start` and :meth:`stop`."""

    def __init__(self, journal: Store, ledger: Ledger, seconds: float, warmup_seconds: float, annotates: bool) -> None:
        """
        Args:
            journal: Where annotations wait for Grafana.
            ledger: Where the slots are.
            seconds: The time between two looks.
            warmup_seconds: The time after Alertmanager's start in which an alert that it lacks may still be firing.
            annotates: Whether to write annotations.
        """
        self._driver = Driver(ledger, Airflow(), partial(asking, warmup_seconds), self._report)
        self._journal, self._seconds, self._annotates = journal, seconds, annotates
        self._stopped, self._news = threading.Event(), threading.Event()
        self._failing = ""

    def start(self) -> None:
        """Starts the thread; call it once."""
        threading.Thread(target=self._run, name="retraining", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread after its current step; does not wait for it."""
        self._stopped.set()
        self._news.set()

    def wake(self) -> None:
        """Makes the thread look at once."""
        self._news.set()

    def slots(self) -> Mapping[str, SlotRecord]:
        """Model → its slot at the last look."""
        return dict(self._driver.slots)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._news.clear()
            self._news.wait(_PAUSE if self._tick() else self._seconds)

    def _tick(self) -> bool:
        """Whether there may be more to do at once."""
        try:
            moved = self._driver.tick()
        except CatwalkError as error:
            if str(error) != self._failing:
                log.warning("retraining waits: %s", error)
            self._failing = str(error)
        except Exception:  # the thread must survive any error
            log.exception("retraining")
        else:
            self._failing = ""
            return moved
        return False

    def _report(self, before: SlotRecord, after: SlotRecord) -> None:
        episode = after.episode
        if after.waiting and after.waiting != before.waiting:
            log.warning("the retraining of %s waits: %s", after.model, after.waiting)
        if after.refused and after.refused != before.refused:
            log.info(
                "the retraining of %s that %s requested is refused: %s",
                after.model,
                after.refused.alert,
                after.refused.reason,
            )
        if after.state == before.state or not episode:
            return
        about = after.why or episode.reason or episode.alert
        log.info("episode %d of %s: %s (%s)", episode.number, after.model, after.state, about)
        if self._annotates and (after.state == "running" or before.state == "running"):
            self._annotate(after)

    def _annotate(self, slot: SlotRecord) -> None:
        """Annotates the start of the run and, once it is judged, its whole duration."""
        episode = slot.episode
        assert episode
        status: Status = "firing" if slot.state == "running" else "resolved"
        ends = _rfc3339(episode.judged or time.time()) if status == "resolved" else ""
        summary = f"{slot.model}: {episode.alert} requested a retraining, episode {episode.number}"
        labels = {"alertname": _NAME, "model": slot.model, "run_id": episode.run_id}
        annotations = {"summary": f"{summary}: {episode.verdict}" if episode.verdict else summary}
        alert = Alert(episode.dag_run_id, _rfc3339(episode.started), status, labels, annotations, ends)
        self._journal.annotate(alert, episode.started, time.time())


def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()

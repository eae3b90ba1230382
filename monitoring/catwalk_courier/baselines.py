"""The thread that makes the baselines of versions in service automatically, and says so in the log and in Grafana."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

from catwalk.clients.episodes import Alert
from catwalk.errors import CatwalkError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.reference import ReferenceRecord
from catwalk.service.baseline import automatic
from catwalk.storage.store import Store as Ledger
from catwalk_courier.journal.store import Store

log = logging.getLogger("catwalk.courier")

_SECONDS = 3_600.0
"""Time between two looks: a baseline is due at a midnight, and is not urgent."""
_NAME = "Service baseline"
"""Name of its annotations."""


class Baselines:
    """Runs between :meth:`start` and :meth:`stop`."""

    def __init__(self, journal: Store, ledger: Ledger, annotates: bool) -> None:
        """
        Args:
            journal: Where annotations wait for Grafana.
            ledger: Where the baselines are.
            annotates: Whether to write annotations.
        """
        self._journal, self._ledger, self._annotates = journal, ledger, annotates
        self._stopped = threading.Event()
        self._troubles: set[str] = set()

    def start(self) -> None:
        """Starts the thread; call it once."""
        threading.Thread(target=self._run, name="baselines", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread after its current step; does not wait for it."""
        self._stopped.set()

    def look(self) -> None:
        """Decides about each version in service that has had its days. Never raises: the thread must survive."""
        troubles: set[str] = set()
        try:
            for model in Champions(self._ledger).models():
                if self._stopped.is_set():
                    return
                try:
                    self._decide(model)
                except CatwalkError as error:  # the other models may be fine
                    troubles.add(str(error))
        except CatwalkError as error:
            troubles.add(str(error))
        except Exception:
            log.exception("service baselines")
        for trouble in sorted(troubles - self._troubles):
            log.warning("service baselines wait: %s", trouble)
        self._troubles = troubles

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(_SECONDS)

    def _decide(self, model: str) -> None:
        outcome = automatic.decide(self._ledger, model, time.time())
        if outcome is None:
            return
        version = f"version {outcome.run_id} of {model}"
        if not isinstance(outcome, ReferenceRecord):
            log.warning(
                "%s gets no service baseline automatically: %s; `catwalk reference show %s` says what to do",
                *(version, outcome.reason, model),
            )
            return
        span = f"its first {len(outcome.days)} full days in service, {outcome.days[0]} to {outcome.days[-1]}"
        log.info("%s has a service baseline now, made automatically of %s", version, span)
        if self._annotates:
            self._annotate(model, outcome, f"{version} has a service baseline now, made of {span}")

    def _annotate(self, model: str, made: ReferenceRecord, summary: str) -> None:
        began = datetime.fromtimestamp(made.created, UTC).isoformat()
        labels = {"alertname": _NAME, "area": "model", "model": model, "run_id": made.run_id}
        alert = Alert(f"baseline-{made.run_id}", began, "resolved", labels, {"summary": summary}, "")
        self._journal.annotate(alert, made.created, time.time())

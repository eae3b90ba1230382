"""Holds the version that answers, and swaps it for the next champion while requests are answered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from catwalk.errors import CatwalkError, StoreUnavailableError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Run
from catwalk.redaction import without_credentials
from catwalk.service import reference as references
from catwalk.service.monitor import Prediction, PredictionMonitor
from catwalk.serving import version as versions
from catwalk.serving.series import ServerSeries
from catwalk.serving.version import Version

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from catwalk.storage.store import Store

log = logging.getLogger("catwalk.serve")

CLOSE_SECONDS = 5.0
"""Time for the log's last segments to reach the ledger. The next server that uses the folder sends the rest."""
_AGAIN_SECONDS = 60.0
"""Time until a refused version is tried again: it may have been restored."""


@dataclass(frozen=True)
class Logging:
    """Where predictions are logged, and which share of them."""

    folder: Path
    sample: float = 1.0


class Holder:
    """The version of a model that answers. Any thread may use it."""

    def __init__(
        self, store: Store, model: str, registry: CollectorRegistry, pinned: str = "", log: Logging | None = None
    ) -> None:
        """
        Args:
            store: The store that holds the ledger.
            model: The model whose champion answers.
            registry: Where the series are registered.
            pinned: A run whose model answers, whatever the champion is; empty: none.
            log: Where predictions are logged; None: they are not.
        """
        self._store, self.model, self._pinned = store, model, pinned
        self._log = log
        self._registry = registry
        self.series = ServerSeries(model)
        registry.register(self.series)
        self._lock = Lock()
        self._current: Version | None = None
        self._monitor: PredictionMonitor | None = None
        self._said = ""
        self._try_again = 0.0
        self._stop = Event()

    @property
    def current(self) -> Version | None:
        """The version that answers; None: there is none yet."""
        return self._current

    @property
    def trouble(self) -> str:
        """Why there is no version, or not the newest one, as a sentence; empty: there is."""
        return self._said

    @property
    def monitor(self) -> PredictionMonitor | None:
        """Counts and logs predictions; None: there is no version yet."""
        return self._monitor

    @property
    def logs(self) -> bool:
        """Whether predictions are logged, and labels accepted."""
        return self._log is not None

    def take(
        self, inputs: Callable[[Version], Any], ids: Sequence[str] | None = None
    ) -> tuple[Version, Any, Prediction] | None:
        """The version that answers a request, its inputs, and what counts the predictions as this version's, even if it
        is swapped in the meantime; None: there is no version yet.

        Args:
            inputs: Reads the request for a version; may raise.
            ids: Ids of the predictions; None: they have none.
        """
        while (version := self._current) is not None:
            found = inputs(version)
            with self._lock:
                if self._current is version and self._monitor:
                    return version, found, self._monitor.predictions(references.watched(found), ids)
        return None

    def follow(self, seconds: float) -> None:
        """Looks for the champion now and after each interval in seconds, in a thread of its own."""

        def look_again() -> None:
            self.look()
            while not self._stop.wait(seconds):
                self.look()

        Thread(target=look_again, name="champion", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread after its current look, and writes the log to the disk and, if possible, to the ledger."""
        self._stop.set()
        if self._monitor:
            self._monitor.close(CLOSE_SECONDS)

    def look(self) -> None:
        """Loads the champion if it is not the version that answers. Never raises."""
        try:
            self._look()
        except CatwalkError as error:
            self._say(str(error))
        except Exception as error:  # the thread must survive: the next champion may be fine
            self._say(f"unexpected {type(error).__name__}: {error}")

    def _look(self) -> None:
        found = self._named()
        self.series.checked = time.time()
        if found is None:
            self._say(f"{self.model} has no champion yet")
            return
        run, sha256, load = found
        current = self._current
        if current and (current.run_id, current.model_sha256) == (run.run_id, sha256):
            self.series.refused = ""
            self._refer(run, current)
            self._say("")
        elif self.series.refused != run.run_id or time.monotonic() >= self._try_again:
            self._exchange(run, load)

    def _named(self) -> tuple[Run, str, Callable[[], Version]] | None:
        """The version that should answer, its sha256, and the function that loads it."""
        if self._pinned:
            run = Run(self._store, self._pinned)
            training = run.training()
            return run, training.model_sha256 if training else "", lambda: versions.candidate(run)
        current = Champions(self._store).get(self.model)
        if current is None:
            return None
        record, run = current[0], Run(self._store, current[0].run_id)
        return run, record.model_sha256, lambda: versions.champion(run, record)

    def _exchange(self, run: Run, load: Callable[[], Version]) -> None:
        try:
            new = load()
        except StoreUnavailableError:
            raise
        except Exception as error:  # anything that a model's own code raises
            self._refuse(run.run_id, error)
            return
        self._swap(new)
        self.series.refused = ""
        self._say("")
        log.info("%s is served by version %s", self.model, new.run_id)

    def _refuse(self, run_id: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, CatwalkError) else f"{type(error).__name__}: {error}"
        kept = f"; version {self._current.run_id} keeps answering" if self._current else ""
        self._say(f"version {run_id} is refused: {' '.join(reason.split()):.500}{kept}")
        # Last: a page that shows the refusal then has its reason too.
        self.series.refused, self._try_again = run_id, time.monotonic() + _AGAIN_SECONDS

    def _swap(self, new: Version) -> None:
        with self._lock:
            if self._monitor is None:
                self._monitor = self._watching(new)
            else:
                self._monitor.swap(reference=new.reference)
            self._current = new

    def _watching(self, first: Version) -> PredictionMonitor:
        folder, sample = (self._log.folder, self._log.sample) if self._log else (None, 1.0)
        return PredictionMonitor(
            self.model, reference=first.reference, registry=self._registry, log=folder, sample=sample
        )

    def _refer(self, run: Run, current: Version) -> None:
        """Replaces the test's reference with a baseline that was accepted since."""
        accepted = references.baseline_of(run)
        if accepted and accepted.created != current.reference.created:
            self._swap(replace(current, reference=accepted))

    def _say(self, sentence: str) -> None:
        """Logs a line whenever the sentence changes, without the store's password."""
        sentence = without_credentials(sentence)
        if sentence and sentence != self._said:
            log.warning("%s", sentence)
        self._said = sentence

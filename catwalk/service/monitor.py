"""Watches a model in service: counts its inputs and its answers, for Prometheus to scrape."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from catwalk import extras
from catwalk.errors import CatwalkError, ConfigError
from catwalk.ledger.model_names import spelling
from catwalk.ledger.models import watched
from catwalk.ledger.records.reference import ReferenceRecord
from catwalk.service import reference as references
from catwalk.service.counts import Counts
from catwalk.service.log import intake
from catwalk.service.log.lines import Id, Tally
from catwalk.service.log.prediction_log import PredictionLog
from catwalk.storage.opening import open_store
from catwalk.storage.store import Patience

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = logging.getLogger("catwalk.service")

_STORE = Patience(tries=1)
"""For the log: what the ledger doesn't take now waits for the next try."""
_SCRAPES = 2
"""Scrapes in which the series of a replaced version are still shown, so that its last counts arrive."""


class PredictionMonitor:
    """Counts the predictions of a model by the bins of its reference.

    All methods may be called from any thread. Once the monitor exists, no input and no answer makes it raise: a missing
    value, and one that fits no bin, have bins of their own.
    """

    def __init__(
        self,
        model: str,
        *,
        reference: ReferenceRecord | str | Path | None = None,
        version: str = "",
        registry: CollectorRegistry | None = None,
        log: str | Path | None = None,
        sample: float = 1.0,
    ) -> None:
        """
        Args:
            model: The model's name in the ledger.
            reference: What inputs and answers are compared with, or a file with it. By default, the champion's baseline
                if there is one, else its reference, from the ledger that `CATWALK_STORE` names. A reference may have
                another name of the same model, if that ledger says so.
            version: The version that answers, by default the run of the reference.
            registry: The registry of prometheus_client in which the series appear, by default the global one.
            log: A folder of this machine that outlives the process, in which predictions are logged on their way to the
                ledger. By default, they aren't logged.
            sample: The share of the predictions to log, 0 to 1.

        Raises:
            ConfigError: prometheus_client is not installed, the reference is not valid or is another model's, the model
                has a monitor in this registry already, or the log's folder can't be used.
            NotFoundError: The ledger has no champion of this model, or no reference of it.
            StoreError: The ledger can't be read.
        """
        try:
            from prometheus_client import REGISTRY

            from catwalk.service.exposition import exposition_of
        except ModuleNotFoundError as error:
            raise ConfigError(extras.complaint(error, "service")) from error
        self._model = spelling(model)
        self._registry = REGISTRY if registry is None else registry
        self._lock = Lock()
        self._current = self._counts(reference, version)
        self._leaving: list[tuple[Counts, int]] = []
        self._log = None if log is None else PredictionLog(Path(log), open_store(patience=_STORE), sample=sample)
        try:
            exposition_of(self._registry).add(self._model, self._versions)
        except ConfigError:
            self.close(0)
            raise

    @property
    def version(self) -> str:
        """The version that answers now."""
        return self._current.version

    def prediction(self, inputs: Any = None, id: Id = "") -> Prediction:
        """Returns a ``with`` block around one prediction, which measures its time and counts an exception as an error.

        Args:
            inputs: Name → value, or the columns in their order; or one picture, (height, width).
            id: The id under which a label may come: text of at most 200 characters, a whole number or a UUID. By
                default, the log creates one.
        """
        return Prediction(self._current, inputs, many=False, log=self._log, ids=[id] if id != "" else None)

    def predictions(self, inputs: Any = None, ids: Sequence[Id] | None = None) -> Prediction:
        """Returns the same for many predictions that are made together.

        Args:
            inputs: The inputs of n examples: (n, columns), name → column, or pictures, (n, height, width).
            ids: The id of each. By default, the log creates them.
        """
        return Prediction(self._current, inputs, many=True, log=self._log, ids=ids)

    def label(self, ids: Sequence[Id], labels: Sequence[Any], times: Sequence[float] | None = None) -> None:
        """Stores what turned out to be true of predictions. When it returns, the labels are on this machine's disk.

        Args:
            ids: The ids of predictions, which may be of another process or day.
            labels: For each, a class by name or index, 0 or 1, or a number.
            times: The Unix time from which each holds, by default now. If an id has two labels, the later one counts.

        Raises:
            InputError: One of them is not valid; the message says which, and none is stored.
            ConfigError: This monitor has no log.
            CatwalkError: They could not be written; sending them again is harmless.
        """
        if self._log is None:
            raise ConfigError("this monitor has no log to keep labels in; give it a folder, log=…")
        reference, now = self._current.reference, time.time()
        self._log.label(self._model, intake.checked(reference.kind, reference.classes, ids, labels, times, now))

    def log_counts(self) -> Tally:
        """Returns the outcomes of this process' predictions by the version that answers now."""
        return self._tally(self.version)

    def close(self, timeout: float = 10.0) -> None:
        """Closes the log, if there is one: writes it to the disk, and as much as possible to the ledger.

        Args:
            timeout: In seconds. What is left goes to the ledger when the next process uses the folder.
        """
        if self._log is not None:
            self._log.close(timeout)

    def serve(self, port: int, address: str = "127.0.0.1") -> int:
        """Serves the series at ``/metrics`` on a port of their own, with 0 on any free one. Returns the port."""
        from prometheus_client import start_http_server

        server, _ = start_http_server(port, address, self._registry)
        return int(server.server_port)

    def swap(self, *, reference: ReferenceRecord | str | Path | None = None, version: str = "") -> None:
        """Makes another version answer from now on. Predictions under way still count as the old one's, whose series
        leave after two scrapes.

        Args and errors: those of the monitor itself; after an error, the old version keeps answering.
        """
        new = self._counts(reference, version)
        with self._lock:
            left = [(counts, scrapes) for counts, scrapes in self._leaving if counts.version != new.version]
            if new.version != self._current.version:
                left.append((self._current, _SCRAPES))
            self._leaving, self._current = left, new

    def _counts(self, given: ReferenceRecord | str | Path | None, version: str) -> Counts:
        if given is None:
            record = self._of_champion()
        elif isinstance(given, ReferenceRecord):
            record = references.checked(given)
        else:
            record = references.of_file(Path(given))
        return Counts(self._renamed(record), version or record.run_id)

    def _of_champion(self) -> ReferenceRecord:
        """Returns the champion's reference, under the name that this monitor has, which may be a former one."""
        store = open_store()
        self._warn_of_new_name(watched.lineage(store, self._model)[0])
        return replace(references.of_champion(store, self._model), model=self._model)

    def _renamed(self, record: ReferenceRecord) -> ReferenceRecord:
        """Returns a reference under the name that this monitor has, if it is another name of the same model.

        Raises:
            ConfigError: It is another model's, or the ledger can't tell.
        """
        if spelling(record.model) == self._model:
            return record
        other = f"the reference is of model {record.model}, not of {self._model}"
        try:
            names = watched.lineage(open_store(), record.model)
        except CatwalkError as error:
            raise ConfigError(f"{other}, and it is unknown whether that is another name of it: {error}") from error
        if self._model not in names:
            raise ConfigError(other)
        self._warn_of_new_name(names[0])
        return replace(record, model=self._model)

    def _warn_of_new_name(self, today: str) -> None:
        if today != self._model:
            log.warning(
                "model %s is called %s now: its predictions and labels count, but alerts of %s don't see this service "
                "until its monitor has that name",
                *(self._model, today, today),
            )

    def _tally(self, version: str) -> Tally:
        return Tally() if self._log is None else self._log.counts(version)

    def _versions(self) -> list[tuple[Counts, Tally]]:
        """Returns what a scrape shows."""
        with self._lock:
            shown = [self._current, *(counts for counts, _ in self._leaving)]
            self._leaving = [(counts, scrapes - 1) for counts, scrapes in self._leaving if scrapes > 1]
        return [(counts, self._tally(counts.version)) for counts in shown]


class Prediction:
    """A request to a model; see :meth:`PredictionMonitor.prediction`."""

    __slots__ = ("_counts", "_given", "_log", "_many", "_started", "each_logged", "ids", "inputs", "output")

    def __init__(
        self,
        counts: Counts,
        inputs: Any,
        many: bool,
        log: PredictionLog | None = None,
        ids: Sequence[Id] | None = None,
    ) -> None:
        self._counts = counts
        self._many = many
        self._log = log
        self._given = ids
        self.ids: list[str] = []
        """The id of each prediction, once the block has ended; empty if nothing is logged."""
        self.each_logged: list[bool] = []
        """Whether each is in the log, once the block has ended; if so, it survives this process, however that ends."""
        self.inputs = inputs
        self.output: Any = None
        """The model's answer: a score or value, a class, or logits or probabilities of all classes; for many
        predictions, n of them. An answer that is left out, or None, counts as missing."""

    @property
    def id(self) -> str:
        """The id of a single prediction, once the block has ended; empty if it is not logged."""
        return self.ids[0] if self.ids else ""

    @property
    def logged(self) -> bool:
        """Whether the prediction is in the log; for many, whether all are."""
        return bool(self.each_logged) and all(self.each_logged)

    def __enter__(self) -> Prediction:
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._started
        with suppress(Exception):  # a monitor never fails its service
            if kind is not None:
                self._counts.failed(seconds)
            else:
                self._count(seconds)

    def _count(self, seconds: float) -> None:
        counts, many = self._counts, self._many
        outputs = list(counts.outputs(self.output, many))
        counts.count(counts.rows(self.inputs, many), outputs, seconds)
        if self._log is not None:
            answers = intake.answers(counts.answers(outputs), self._given)
            self.ids = [each.id for each in answers]
            self.each_logged = self._log.log(counts.reference, counts.version, answers)

"""A model in service, watched: counts what it is asked and what it answers, for Prometheus to scrape."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from catwalk import extras
from catwalk.errors import ConfigError
from catwalk.ledger.records.reference import ReferenceRecord
from catwalk.service import reference as references
from catwalk.service.counts import Counts
from catwalk.storage.opening import open_store

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_SCRAPES = 2
"""In which the series of a version that has left are still shown, so that its last counts arrive."""


class PredictionMonitor:
    """Counts the predictions of a model by the bins of its reference.

    All methods may be called from any thread. Once it is made, no input and no answer makes it raise: what is missing,
    and what fits no bin, has a bin of its own.
    """

    def __init__(
        self,
        model: str,
        *,
        reference: ReferenceRecord | str | Path | None = None,
        version: str = "",
        registry: CollectorRegistry | None = None,
    ) -> None:
        """
        Args:
            model: its name in the ledger.
            reference: what its inputs and answers are compared with, or the file that holds it; None: the champion's
                baseline if one was accepted, else its reference, from the ledger that `CATWALK_STORE` names.
            version: what answers; empty: the run that the reference is of.
            registry: of prometheus_client, in which the series appear; None: its usual one.

        Raises:
            ConfigError: prometheus_client is not installed, the reference is none or another model's, or the model has
                a monitor in this registry already.
            NotFoundError: the ledger has no champion of this model, or no reference of it.
            StoreError: the ledger can't be read.
        """
        try:
            from prometheus_client import REGISTRY

            from catwalk.service.exposition import exposition_of
        except ModuleNotFoundError as error:
            raise ConfigError(extras.complaint(error, "service")) from error
        self._model = model
        self._registry = REGISTRY if registry is None else registry
        self._lock = Lock()
        self._current = self._counts(reference, version)
        self._leaving: list[tuple[Counts, int]] = []
        exposition_of(self._registry).add(model, self._versions)

    @property
    def version(self) -> str:
        """What answers now."""
        return self._current.version

    def prediction(self, inputs: Any = None) -> Prediction:
        """A ``with`` block around one prediction: takes its time, and counts an exception as an error.

        Args:
            inputs: name → value, or the columns in their order; or one picture, (height, width).
        """
        return Prediction(self._current, inputs, many=False)

    def predictions(self, inputs: Any = None) -> Prediction:
        """The same around many that are made together.

        Args:
            inputs: of n examples: (n, columns), name → column, or pictures, (n, height, width).
        """
        return Prediction(self._current, inputs, many=True)

    def serve(self, port: int, address: str = "127.0.0.1") -> int:
        """Serves the series at ``/metrics`` on a port of their own; for one that is free give 0. Returns the port."""
        from prometheus_client import start_http_server

        server, _ = start_http_server(port, address, self._registry)
        return int(server.server_port)

    def swap(self, *, reference: ReferenceRecord | str | Path | None = None, version: str = "") -> None:
        """Another version answers from now on. Predictions under way still count as the old one's, whose series leave
        after two scrapes.

        Args and errors: those of the monitor itself; after an error, the old version goes on.
        """
        new = self._counts(reference, version)
        with self._lock:
            left = [(counts, scrapes) for counts, scrapes in self._leaving if counts.version != new.version]
            if new.version != self._current.version:
                left.append((self._current, _SCRAPES))
            self._leaving, self._current = left, new

    def _counts(self, given: ReferenceRecord | str | Path | None, version: str) -> Counts:
        if given is None:
            record = references.of_champion(open_store(), self._model)
        elif isinstance(given, ReferenceRecord):
            record = references.checked(given)
        else:
            record = references.of_file(Path(given))
        if record.model != self._model:
            raise ConfigError(f"the reference is of model {record.model}, not of {self._model}")
        return Counts(record, version or record.run_id)

    def _versions(self) -> list[Counts]:
        """What a scrape shows."""
        with self._lock:
            shown = [self._current, *(counts for counts, _ in self._leaving)]
            self._leaving = [(counts, scrapes - 1) for counts, scrapes in self._leaving if scrapes > 1]
        return shown


class Prediction:
    """A request to a model; see :meth:`PredictionMonitor.prediction`."""

    __slots__ = ("_counts", "_many", "_started", "inputs", "output")

    def __init__(self, counts: Counts, inputs: Any, many: bool) -> None:
        self._counts = counts
        self._many = many
        self.inputs = inputs
        self.output: Any = None
        """What the model answers: a score or value, a class, or logits or probabilities of all classes; of many, n of
        them. What is left out, or None, counts as missing."""

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
        counts.count(counts.rows(self.inputs, many), counts.outputs(self.output, many), seconds)

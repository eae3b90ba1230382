"""The object with which a training program logs a run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from catwalk.errors import ConfigError, InputError, StoreError, SupersededError, shown
from catwalk.ledger.models import artifact
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.records.reference import ReferenceRecord
from catwalk.ledger.records.training import ModelRecord
from catwalk.redaction import without_credentials
from catwalk.tracking.arguments import plain
from catwalk.tracking.arguments.epochs import check_count, epoch_record, measured
from catwalk.tracking.patience import patiently
from catwalk.tracking.session import Session

log = logging.getLogger("catwalk.tracking")

R = TypeVar("R")
_SHA256 = 64


class TrackedRun:
    """One run of a model, as returned by :func:`catwalk.run`. You can call all methods from any thread.

    :meth:`epoch` and :meth:`log` neither wait for the store nor fail because of it. :meth:`model`, :meth:`test` and
    :meth:`close` return once everything is stored, or raise.
    """

    def __init__(self, session: Session | None) -> None:
        self._session = session

    @property
    def _alive(self) -> Session | None:
        """The session; None if this run does nothing: it is a null run, or this is a forked child."""
        session = self._session
        if session is None or session.pid != os.getpid():
            return None
        if session.closed:
            raise ConfigError(f"run {session.run.run_id} is closed; open a new one")
        return session

    @property
    def run_id(self) -> str:
        """The run's id in the ledger; empty for a run that does nothing."""
        return self._session.run.run_id if self._session else ""

    @property
    def decision(self) -> DecisionRecord | None:
        """Whether the model ships, once the run is closed; ``print`` shows it as a sentence. None if nothing was
        tested.
        """
        return self._session.decision if self._session else None

    def data(
        self, *, as_of: Any = "", source: str = "", sha256: str = "", statistics: Mapping[str, float] | None = None
    ) -> None:
        """Records the data that the model learns from.

        Args:
            as_of: The date or time up to which the data was known: later means newer data.
            source: Where the data comes from, in a word.
            sha256: The hash of the data, which distinguishes this dataset from others.
            statistics: Name → figure that shifts when the data does.

        Raises:
            InputError: `as_of` is not a date.
            StoreError: It can't be stored.
        """
        from catwalk.tracking.arguments import dataset

        session = self._alive
        found = dataset.record(as_of, source, sha256, measured("statistics", statistics or {}))
        if session:
            dataset.store(session.run, found)

    def epoch(self, number: int, **splits: Mapping[str, Any]) -> None:
        """Logs an epoch that has ended: ``run.epoch(3, train={"loss": 0.4}, validation={"auc": 0.9})``.

        Any metric of any split is stored, including NaN and infinity. Logging the last epoch's number again merges the
        two; a lower number replaces that epoch and all later ones.

        Raises:
            InputError: The number is not an integer from 1, a metric is not a single number, or the run has logged
                steps.
        """
        self._log("epoch", number, splits)

    def step(self, number: int, **splits: Mapping[str, Any]) -> None:
        """Logs a step, like :meth:`epoch`, for a training that counts in steps, for example every 500 steps:
        ``run.step(12_500, train={"loss": 2.1})``. A run uses either epochs or steps.

        Raises:
            InputError: As for :meth:`epoch`, or the run has logged epochs.
        """
        self._log("step", number, splits)

    def _log(self, axis: str, number: int, splits: Mapping[str, Any]) -> None:
        session = self._alive
        now = time.perf_counter()
        if session is None:
            epoch_record(number, splits, 0.0)
            return
        with session.lock:
            record = epoch_record(number, _with(session.logged, splits), now - session.epoch_started)
            session.journal.count_in(axis)
            session.epoch_started, session.logged = now, {}
        session.journal.add(record)

    def log(self, metrics: Mapping[str, Any] | None = None, /, *, split: str = "train", **more: Any) -> None:
        """Logs metrics between two epochs: the newest value of each is added to the next epoch that ends, or to the
        last. ``learning_rate``, ``gradient_norm`` and ``examples_per_second`` have their own tables and panels.

        Raises:
            InputError: A value is not a single number, the split is not text, or more metrics wait than an epoch may
                have.
        """
        split = plain.text("split", split)
        found = measured("log", {**plain.mapping("log", metrics, "metric → number"), **more})
        session = self._alive
        if session:
            with session.lock:
                logged = {**session.logged, split: {**session.logged.get(split, {}), **found}}
                check_count("log", logged)  # otherwise neither an epoch nor the end of the run could store them
                session.logged = logged

    def model(self, model: str | Path | bytes | None = None, *, uri: str = "", sha256: str = "") -> ModelRecord | None:
        """Stores the model: a file, a folder or bytes, of any kind; it is never opened. Or records where it is stored.

        Args:
            model: A path, or the bytes themselves.
            uri: Where the model is stored, if not here.
            sha256: Its hash there.

        Raises:
            InputError: There is no such file, or the arguments contradict each other.
            SupersededError: Another attempt has taken over.
            StoreError: It can't be stored; the message says what is stored, and how to finish.
        """
        _check_model(model, uri, sha256)
        session = self._alive
        if session is None:
            return None
        missing = "the model is not stored: call run.model(…) again"
        record = _kept(session, missing, lambda: _stored(session, model, uri, sha256))
        session.journal.set_model(record.sha256, record.bytes)
        missing = "the model's files are stored, but are not this run's model yet: call run.model(…) again"
        _kept(session, missing, lambda: _name_model(session, record))
        return record

    def test(
        self,
        labels: Any,
        scores: Any,
        *,
        keys: Any = None,
        inputs: Any = None,
        slices: Mapping[str, Any] | None = None,
        test_set: str = "",
    ) -> Mapping[str, float]:
        """Measures the model on test examples, and stores the metrics and the answer to each example.

        Args:
            labels: The true labels, (n,): a list, or of numpy, pandas or torch.
            scores: The model's answers, (n,) or (n, classes); see the problem's ``measure``.
            keys: A unique key for each example, (n,): two models are compared on the keys that both have.
            inputs: Instead of keys, the model's inputs, n rows, which identify the examples too.
            slices: Name → value of each example, (n,): the model is measured on each value separately.
            test_set: Instead of keys, the name of the whole set. It must then be the same for both models, with the
                same labels in the same order.

        Returns:
            Metric → value.

        Raises:
            InputError: An argument is wrong; the message names it, and what was expected and passed.
            SupersededError: Another attempt has taken over.
            StoreError: It can't be stored; the message says what is stored, and how to finish.
        """
        from catwalk.tracking import testing

        session = self._alive
        if session is None:
            return {}
        parts = plain.mapping("slices", slices, "name → value of each example")
        named = plain.text("test_set", test_set)
        missing = "the test is not stored: call run.test(…) again"
        return _kept(session, missing, lambda: testing.store(session, labels, scores, keys, inputs, parts, named))

    def reference(
        self, inputs: Any = None, scores: Any = None, *, labels: Any = None, floor: float = 0.5
    ) -> ReferenceRecord | None:
        """Stores the distribution of inputs and answers under normal conditions. :class:`catwalk.PredictionMonitor`
        compares a service with it.

        Args:
            inputs: The inputs of n held-out examples, about 5,000: (n, columns), a data frame, name → column, or
                images, (n, height, width). The first 50 columns are watched; the record lists the others.
            scores: The model's answers to them, as for :meth:`test`.
            labels: Their true labels, (n,). A classifier's accuracy in service is estimated from its confidence there,
                and from its confidence and accuracy on these examples, of which it needs at least 1,000.
            floor: The smallest shift that raises an alert, on roughly the scale of PSI. 0.5 is a large shift, because
                requests to a service are seldom balanced like a test set.

        Raises:
            InputError: An argument is wrong; the message names it, and what was expected and passed.
            SupersededError: Another attempt has taken over.
            StoreError: It can't be stored.
        """
        session = self._alive
        if session is None:
            return None
        from catwalk.service import reference

        record = reference.make(session.run, session.problem, inputs, scores, floor, labels)
        missing = "the reference is not stored: call run.reference(…) again"
        return _kept(session, missing, lambda: reference.store(session.run, record))

    def resume(self) -> int:
        """The last epoch that an earlier attempt stored; 0 if none. A program that resumes from its own checkpoint logs
        the next one.
        """
        session = self._alive
        return session.journal.epochs[-1].epoch if session and session.journal.epochs else 0

    def close(self) -> None:
        """Ends the run, like the end of the block: decides about a model that was tested.

        Raises:
            CatwalkError: It could not be stored; the message says what is stored, and how to finish.
        """
        self.__exit__(None, None, None)

    def __enter__(self) -> TrackedRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from catwalk.tracking import closing

        session = self._session
        if session is None or session.closed or session.pid != os.getpid():
            return
        session.closed = True
        try:
            closing.close(session, error)
        finally:
            session.journal.stop(1.0)
            session.release()


def _kept(session: Session, missing: str, work: Callable[[], R]) -> R:
    """Stores what was logged, checks that this attempt leads, and returns the result of `work`. It retries transient
    errors.

    Raises:
        SupersededError: It doesn't lead.
        StoreError: The store fails; the message says what is stored, and how to finish.
    """
    deadline = time.monotonic() + session.close_seconds
    try:
        patiently(deadline, lambda: session.journal.flush(deadline))
        return patiently(deadline, work)
    except SupersededError as error:
        raise SupersededError(f"{error}; {missing}") from error
    except StoreError as error:
        stored, finish = session.journal.stored, f"`catwalk finish {session.run.run_id}`"
        raise type(error)(f"{error}; {missing}; stored so far: {stored}; {finish} ends the run with that") from error


def _stored(session: Session, model: str | Path | bytes | None, uri: str, sha256: str) -> ModelRecord:
    run, attempt = session.run, session.begun.record.number
    if isinstance(model, bytes):
        return artifact.store_bytes(run, attempt, model)
    if model is not None:
        return artifact.store_files(run, attempt, Path(model))
    return artifact.store_uri(run, without_credentials(uri), sha256.lower())


def _name_model(session: Session, record: ModelRecord) -> None:
    if session.unnamed:
        from catwalk.tracking import testing

        testing.name_model(session.run, record.sha256)
        session.unnamed = False


def _with(logged: Mapping[str, dict[str, float]], splits: Mapping[str, Any]) -> Mapping[str, Any]:
    """An epoch's metrics: those logged before its end, overridden by its own."""
    if not logged:
        return splits
    given = {split: measured(split, values) for split, values in splits.items()}
    return {split: {**logged.get(split, {}), **given.get(split, {})} for split in dict.fromkeys([*given, *logged])}


def _check_model(model: Any, uri: Any, sha256: Any) -> None:
    if (model is None) == (not plain.text("uri", uri)):
        raise InputError("model: expected a path, bytes, or uri= with sha256=; got " + ("both" if uri else "neither"))
    if uri and (len(plain.text("sha256", sha256)) != _SHA256 or not set(sha256.lower()) <= set("0123456789abcdef")):
        raise InputError(f"sha256: expected the hash of the model at uri=, 64 hex digits; got {shown(sha256, 70)}")
    if model is not None and not isinstance(model, str | Path | bytes):
        raise InputError(f"model: expected a path or bytes; got {type(model).__name__}")
    if model == "":  # as a path, this would be the working directory
        raise InputError("model: expected a file or a folder; got ''")
    if model is not None and not isinstance(model, bytes) and not _is_there(Path(model)):
        raise InputError(f"model: expected a file or a folder; there is nothing at {model!s:.500}")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for any file system
        return False

"""Writes the epochs of a run to the store, in a thread, so that logging never waits.

Each write stores the newest state: what was logged during a write is stored by the next one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from catwalk.codec import from_json, to_json
from catwalk.environment.heartbeats import Heartbeats
from catwalk.errors import CatwalkError, InputError, StoreUnavailableError, SupersededError
from catwalk.ledger.records.summary import SummaryRecord
from catwalk.ledger.records.training import EpochRecord, EpochSegment, TrainingRecord
from catwalk.ledger.runs import Fence, Run, touched, with_training
from catwalk.replay.room import Hold
from catwalk.telemetry.observer import Observer

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Minimum seconds between two writes."""
LONGEST_PAUSE = 30.0
"""Seconds between two attempts while the store is unavailable."""
SEGMENT = 100
"""Epochs in a sealed object. Each write repeats at most twice as many."""
MOST_EPOCHS = 100_000
"""Maximum number of epochs stored; further ones are counted and left out."""


@dataclass
class Stored:
    """What the ledger has of a run, as far as this process knows, for messages while the store is unavailable."""

    epochs: int = 0
    model: bool = False
    test: bool = False

    def __str__(self) -> str:
        epochs = f"{self.epochs} epoch{'s' * (self.epochs != 1)}" if self.epochs else ""
        found = [epochs, "the model" if self.model else "", "the test" if self.test else ""]
        *others, last = list(filter(None, found)) or ["its parameters"]
        return f"{', '.join(others)} and {last}" if others else last


@dataclass
class Journal:
    """What one attempt has logged so far. It is thread-safe."""

    run: Run
    observer: Observer
    attempt: int
    epochs: list[EpochRecord] = field(default_factory=list)
    """Epochs of earlier attempts until this attempt logs its first; then those before that, and its own."""
    axis: str = "epoch"
    dropped: int = 0
    """Epochs over the limit."""
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    superseded: SupersededError | None = None
    tested: bool = False
    """Whether a stored test, if any, is this attempt's."""
    stored: Stored = field(default_factory=Stored)
    _model: tuple[str, int] = ("", 0)
    _fresh: bool = True
    """Whether nothing was logged yet, so that the records of an earlier attempt still count."""
    _sealed: list[str] = field(default_factory=list)
    _sealed_epochs: int = 0
    _segments: int = 0
    _shown: int = 0
    """The index of the first epoch that was not sent as points yet."""
    _changed: int = 0
    _written: int = 0
    _failed: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        """Protects the state of this object; never held during requests to the store."""
        self._writing = threading.Lock()
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._hold = Hold(self.run.store, self.run.record)
        key = self.run.key("epochs.json")
        self._fence = Fence(
            self.run.store, key, self.attempt, lambda body: from_json(TrainingRecord, body).attempt, check=self._check
        )
        before = self.run.training()
        if before:
            self.epochs, self._model = list(before.epochs), (before.model_sha256, before.model_bytes)
            self._shown, self.axis = len(self.epochs), before.axis
            self.stored = Stored(len(self.epochs), bool(before.model_sha256), self.run.evaluation() is not None)
        self._thread = threading.Thread(target=self._work, name=f"catwalk {self.run.run_id}", daemon=True)

    def start(self) -> None:
        """Starts the thread. From now on, an earlier attempt that is still running is refused at its next write."""
        self._changed += 1
        self.write()
        self._thread.start()

    def add(self, epoch: EpochRecord) -> None:
        """Adds an epoch. It is merged with the last one if that has the same number; later epochs are dropped."""
        with self._lock:
            self._begin()
            last = self.epochs[-1] if self.epochs else None
            if last and epoch.epoch == last.epoch and self._own:
                self.epochs[-1] = joined(last, epoch)
                self._shown = min(self._shown, len(self.epochs) - 1)
                self._unseal(len(self.epochs) - 1)
            else:
                self._cut(epoch.epoch)
                self._append(epoch)
            self._own = True
            self._changed += 1
        self._woken.set()

    _own: bool = False
    """Whether the last epoch is this attempt's."""

    def count_in(self, axis: str) -> None:
        """Sets what the epochs' numbers count: epoch or step.

        Raises:
            InputError: The earlier ones count the other.
        """
        with self._lock:
            if self.epochs and axis != self.axis:
                raise InputError(
                    f"{axis}: this run has logged {self.axis}s, and a run uses only one of the two; log {self.axis}s"
                )
            self.axis = axis

    def _append(self, epoch: EpochRecord) -> None:
        if len(self.epochs) >= MOST_EPOCHS:
            self.dropped += 1
        else:
            self.epochs.append(epoch)

    def _cut(self, number: int) -> None:
        """Drops the epochs from this number on."""
        keep = len(self.epochs)
        while keep and self.epochs[keep - 1].epoch >= number:
            keep -= 1
        if keep < len(self.epochs):
            del self.epochs[keep:]
            self._shown = min(self._shown, keep)
            self._unseal(keep)

    def _unseal(self, keep: int) -> None:
        """Marks sealed segments for another write if one of their epochs changes."""
        if keep < self._sealed_epochs:
            self._sealed, self._sealed_epochs = [], 0

    def _begin(self) -> None:
        """Discards the model and test of an earlier attempt at the first epoch: this attempt makes another model."""
        if self._fresh:
            self._fresh, self._model = False, ("", 0)

    def set_model(self, sha256: str, size: int) -> None:
        """Sets the run's model."""
        with self._lock:
            self._fresh, self._model = False, (sha256, size)
            self._changed += 1
        self._woken.set()

    @property
    def has_model(self) -> bool:
        """Whether this attempt has set a model."""
        return not self._fresh and bool(self._model[0])

    @property
    def fresh(self) -> bool:
        """Whether this attempt has logged nothing yet."""
        return self._fresh

    def flush(self, deadline: float) -> None:
        """Waits until everything logged is stored, and checks that this attempt still leads.

        Args:
            deadline: When to stop waiting for a write in progress, by :func:`time.monotonic`.

        Raises:
            SupersededError: Another attempt has taken over.
            StoreError: It can't be stored.
        """
        if not self._writing.acquire(timeout=max(0.1, deadline - time.monotonic())):
            raise StoreUnavailableError(f"{self.run.store.where(self.run.key('epochs.json'))} could not be written")
        try:
            self._write()
        finally:
            self._writing.release()

    def write(self) -> None:
        """Stores the newest state, and sends its new points."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        self._check()
        if self.superseded:
            raise self.superseded
        try:
            if not (self.tested or self._fresh):
                self.run.store.delete(self.run.key("evaluation.json"))
                self.tested, self.stored.test = True, False
            self._seal()
            with self._lock:
                record, number, epochs = self._record(), self._changed, len(self.epochs)
            self._fence.write(to_json(record))
        except SupersededError as error:
            self.superseded = error
            raise
        self._written, self.stored.epochs, self.stored.model = number, epochs, bool(record.model_sha256)
        self._send()
        self.run.update_summary(self._summarised, self._check)

    def _check(self) -> None:
        """Does nothing: only the store's timeout ends a write early."""

    def _seal(self) -> None:
        """Stores full segments permanently, each under a name that no other content ever gets."""
        while True:
            with self._lock:
                start = self._sealed_epochs
                if len(self.epochs) - start < 2 * SEGMENT:
                    return
                part = self.epochs[start : start + SEGMENT]
                self._segments += 1
                name = f"epochs/{self.attempt}-{self._segments}.json"
            self.run.store.put_record(self.run.key(name), EpochSegment(part))
            with self._lock:
                if self._sealed_epochs == start and self.epochs[start : start + SEGMENT] == part:
                    self._sealed.append(name)
                    self._sealed_epochs += SEGMENT

    def _record(self) -> TrainingRecord:
        sha256, size = self._model
        return TrainingRecord(
            attempt=self.attempt,
            axis=self.axis,
            epochs=self.epochs[self._sealed_epochs :],
            model_sha256=sha256,
            model_bytes=size,
            sealed=list(self._sealed),
        )

    def _send(self) -> None:
        with self._lock:
            before, self._shown = self._shown, len(self.epochs)
            new = self.epochs[before:]
        if self.observer.sends:
            for place, epoch in enumerate(new, start=before + 1):
                self.observer.epoch_finished(self.run.record, epoch, place)

    def _summarised(self, summary: SummaryRecord) -> SummaryRecord:
        with self._lock:
            epochs, sha256 = list(self.epochs), self._model[0]
        changed = replace(summary, model_sha256=sha256, lost_after=self.heartbeats.lost_after_seconds)
        if epochs:
            changed = with_training(changed, TrainingRecord(self.attempt, epochs, axis=self.axis))
            changed = replace(changed, last_metrics=epochs[-1].scores)
        return touched(changed, time.time())

    def _work(self) -> None:
        pause = PAUSE_SECONDS
        while not self._stopped.is_set():
            self._woken.wait(self.heartbeats.every_seconds)
            self._woken.clear()
            if self._stopped.is_set() or self.superseded:
                return
            pause = PAUSE_SECONDS if self._write_or_complain() else min(2 * pause, LONGEST_PAUSE)
            self._stopped.wait(pause)

    def _write_or_complain(self) -> bool:
        try:
            if self._changed > self._written:
                self.write()
            else:
                self._beat()
            self._hold.renew()
            self._failed = False
            return True
        except SupersededError as error:
            log.warning("%s", error)
        except Exception as error:  # the caller's training continues, whatever happens here
            if not self._failed:
                reason = str(error) if isinstance(error, CatwalkError) else f"{type(error).__name__}: {error}"
                log.warning("run %s: what was logged is kept, and the write is retried: %s", self.run.run_id, reason)
            self._failed = True
            self._woken.set()
        return False

    def _beat(self) -> None:
        """Sends a heartbeat, if this attempt leads."""
        found = self.run.store.find(self.run.key("epochs.json"))
        leader = from_json(TrainingRecord, found.body).attempt if found else self.attempt
        if leader > self.attempt:
            self.superseded = SupersededError(f"attempt {self.attempt} was superseded by attempt {leader}; it stops")
            raise self.superseded
        self.run.update_summary(lambda summary: touched(summary, time.time()))

    def stop(self, seconds: float) -> None:
        """Ends the thread; waits for it at most this long."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(seconds)


def joined(before: EpochRecord, after: EpochRecord) -> EpochRecord:
    """Merges two records of an epoch: new values win, and the rest stays."""
    splits = dict.fromkeys([*before.metrics, *after.metrics])
    metrics: Mapping[str, dict[str, float]] = {
        split: {**before.metrics.get(split, {}), **after.metrics.get(split, {})} for split in splits
    }
    named = {
        name: getattr(before, name) if getattr(after, name) is None else getattr(after, name)
        for name in (
            "train_loss",
            "train_accuracy",
            "validation_loss",
            "validation_accuracy",
            "learning_rate",
            "gradient_norm",
            "examples_per_second",
        )
    }
    return replace(after, **named, duration_seconds=before.duration_seconds, metrics=dict(metrics))

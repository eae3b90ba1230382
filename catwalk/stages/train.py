"""Train: the epochs, from the last checkpoint if there is one."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, field, replace

from catwalk import knobs
from catwalk.codec import from_json, to_json
from catwalk.errors import ArtifactError, CancelledError, NonFiniteLossError, PreconditionFailedError
from catwalk.knobs import Config
from catwalk.ledger.models.champion import verified_model
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.training import EpochRecord, TrainingRecord
from catwalk.ledger.records.values import is_finite
from catwalk.ledger.runs import Fence, Run, with_training
from catwalk.replay.room import Hold
from catwalk.stages.lifecycle.attempts import Attempt, already_done, attempt
from catwalk.telemetry.observer import Observer
from catwalk.trainable import Data, Fit, config_of, of_run

log = logging.getLogger(__name__)


def train(run: Run, observer: Observer) -> None:
    """Writes ``epochs.json`` after each epoch, and ``model.safetensors``.

    Raises:
        NonFiniteLossError: The loss became NaN or infinite.
        CancelledError: A signal stopped it; the last finished epoch is saved.
        SupersededError: A newer attempt trains this run.
    """
    before = run.training()
    if before and before.finished:
        run.store.delete(run.key("checkpoint.safetensors"))
        already_done(run, "train")
        return
    with attempt(run, "train", observer) as this:
        dataset = run.dataset()
        if dataset is None:
            raise ArtifactError(f"run {run.run_id} has no dataset yet; run ingest before train")
        training = _Training.start(this, dataset, observer)
        training.resume()
        training.go()
        training.finish()


@dataclass
class _Training:
    """One attempt to train a run."""

    attempt: Attempt
    observer: Observer
    config: Config
    fit: Fit
    planned: int
    checkpoint_seconds: float
    ledger: Fence
    checkpoint: Fence
    hold: Hold
    epochs: list[EpochRecord] = field(default_factory=list)
    reproducible: bool = True
    """False once it resumed from a state of another device, thread count or torch build."""

    @classmethod
    def start(cls, this: Attempt, dataset: DatasetRecord, observer: Observer) -> _Training:
        from catwalk.stages.artifacts import checkpoint
        from catwalk.stages.artifacts.datasets import load_split

        run, number = this.run, this.record.number
        trainable = of_run(run.record)
        config = config_of(trainable, run.record)
        plan = trainable.plan(config)
        splits = {name: load_split(run.store, dataset, name) for name in ("train", "validation")}
        return cls(
            attempt=this,
            observer=observer,
            config=config,
            fit=trainable.start(config, run.record.seed, Data(splits, dataset.statistics, dataset.source)),
            planned=plan.epochs,
            checkpoint_seconds=plan.checkpoint_seconds,
            ledger=Fence(
                run.store,
                run.key("epochs.json"),
                number,
                lambda body: from_json(TrainingRecord, body).attempt,
                check=this.check_cancelled,
            ),
            checkpoint=Fence(
                run.store,
                run.key("checkpoint.safetensors"),
                number,
                lambda body: checkpoint.read_progress(body).attempt,
            ),
            hold=Hold(run.store, run.record, renewed=0.0),
        )

    @property
    def run(self) -> Run:
        return self.attempt.run

    @property
    def record(self) -> TrainingRecord:
        """The current content of ``epochs.json``."""
        fingerprint = self.fit.fingerprint
        return TrainingRecord(
            attempt=self.attempt.record.number,
            epochs=list(self.epochs),
            device=fingerprint.get("device", ""),
            threads=int(fingerprint.get("threads", 0)),
            torch=fingerprint.get("torch", ""),
            reproducible=self.reproducible,
            parameters=self.fit.parameters,
        )

    def resume(self) -> None:
        """Resumes from the last checkpoint, if there is one. From now on, an older attempt that is still running is
        refused at its next write.

        Raises:
            ArtifactError: The checkpoint is damaged, or belongs to another configuration or seed.
        """
        saved = self.run.store.find(self.checkpoint.key)
        if saved:
            self._restore(saved.body)
            log.info("resumed after epoch %d of %d", len(self.epochs), self.planned)
            if not self.reproducible:
                log.warning("device, threads or torch build have changed, so the last bits of the weights will differ")
        self.ledger.write(to_json(self.record))

    def _restore(self, body: bytes) -> None:
        from catwalk.stages.artifacts import checkpoint

        progress = checkpoint.read_progress(body)
        if (progress.config, progress.seed) != (self.config.digest, self.run.record.seed):
            raise ArtifactError("the checkpoint belongs to another configuration; start a new run")
        self.fit.restore(checkpoint.read_state(body))
        self.epochs = progress.epochs
        self.reproducible = progress.reproducible and progress.fingerprint == self.fit.fingerprint

    def go(self) -> None:
        """Trains the remaining epochs.

        Raises:
            NonFiniteLossError: The loss is NaN or infinite; the epoch is recorded first.
        """
        written, state = time.monotonic(), b""
        try:
            for epoch in self.fit.epochs(len(self.epochs), self.attempt.check_cancelled):
                self._record(epoch)
                state = self._state()
                due = time.monotonic() - written >= self.checkpoint_seconds
                if due or epoch.epoch == self.planned:
                    self.checkpoint.write(state)
                    written, state = time.monotonic(), b""
                check_finite(epoch, self.config)
        except CancelledError:
            if state:
                self.checkpoint.write(state)
            raise

    def _record(self, epoch: EpochRecord) -> None:
        self.epochs.append(epoch)
        self.ledger.write(to_json(self.record))
        self.observer.epoch_finished(self.run.record, epoch)
        self.hold.renew()
        self.attempt.summarise(lambda summary: with_training(summary, self.record))
        log.info("%s", _epoch_line(epoch, self.planned))

    def _state(self) -> bytes:
        from catwalk.stages.artifacts import checkpoint

        progress = checkpoint.Progress(
            attempt=self.attempt.record.number,
            config=self.config.digest,
            seed=self.run.record.seed,
            reproducible=self.reproducible,
            fingerprint=self.fit.fingerprint,
            epochs=list(self.epochs),
        )
        return checkpoint.write(progress, self.fit.state())

    def finish(self) -> None:
        """Stores the model, and records that the training has finished."""
        model = self.fit.model()
        self._store_model(model)
        digest = hashlib.sha256(model).hexdigest()
        self.ledger.write(to_json(replace(self.record, model_sha256=digest, model_bytes=len(model))))
        verified_model(self.run)
        self.run.store.delete(self.checkpoint.key)
        self.attempt.summarise(lambda summary: replace(with_training(summary, self.record), model_sha256=digest))

    def _store_model(self, model: bytes) -> None:
        """Stores the model; replaces a different one of an older attempt if this attempt still leads."""
        key = self.run.key("model.safetensors")
        try:
            self.run.store.put(key, model, create=True)
        except PreconditionFailedError:
            self.ledger.write(to_json(self.record))
            self.run.store.put(key, model)


def check_finite(epoch: EpochRecord, config: Config) -> None:
    """
    Raises:
        NonFiniteLossError: A loss of this epoch is NaN or infinite.
    """
    if is_finite(epoch.train_loss) and is_finite(epoch.validation_loss):
        return
    lower = knobs.advice(config, "divergence")
    raise NonFiniteLossError(
        f"the loss is not finite after epoch {epoch.epoch} (train {epoch.train_loss}, validation "
        f"{epoch.validation_loss}); {f'lower {lower}' if lower else 'change the recipe'} and start a new run"
    )


def _epoch_line(epoch: EpochRecord, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch:>{len(str(epochs))}}/{epochs}: train loss {epoch.train_loss:.4f}, accuracy "
        f"{epoch.train_accuracy:.2%}; validation loss {epoch.validation_loss:.4f}, accuracy "
        f"{epoch.validation_accuracy:.2%}; rate {epoch.learning_rate:.4f}; {epoch.duration_seconds:.1f} s, "
        f"{epoch.examples_per_second:,.0f} examples/s"
    )

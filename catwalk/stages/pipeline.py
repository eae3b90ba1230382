"""The stages of a run, as plain functions that the DAG and the command line call alike.

Each stage may be tried any number of times: what is finished is left as it is, what is half done is taken up again.
Nothing here needs torch until a stage computes, so that `decide` and `publish` start fast.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import platform
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import FrameType

import ml.fashion_mnist
from catwalk.codec import from_json, to_json
from catwalk.errors import ArtifactError, CancelledError, CatwalkError, PreconditionFailedError, SupersededError
from catwalk.ledger.champion import load_model, verified_model
from catwalk.ledger.records import (
    STAGES,
    AttemptRecord,
    DecisionRecord,
    EpochRecord,
    Outcome,
    RunRecord,
    Stage,
    StageSummary,
    State,
    SummaryRecord,
    TrainingRecord,
    Trigger,
)
from catwalk.ledger.runs import Fence, Ledger, Run, check_code, seed_of, touched
from catwalk.ledger.sweep import NOT_CHOSEN, passed_over
from catwalk.replay.resend import send_again
from catwalk.replay.room import with_room
from catwalk.stages import memory, reports
from catwalk.storage.swap import swap
from catwalk.telemetry.observer import Observer
from ml.fashion_mnist.config import CLASSES, RunConfig

log = logging.getLogger(__name__)

_PACKAGES = ("apache-airflow", "numpy", "torch", "torchvision")


@cache
def code_sha256() -> str:
    """Hash of what computes a run: the Python source of the model, the stages, the gate and its statistics, in their
    folders' order."""
    digest = hashlib.sha256()
    library = Path(__file__).parents[1]
    for folder in (Path(ml.fashion_mnist.__file__).parent, library / "stages", library / "gate", library / "problems"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def open_run(
    ledger: Ledger,
    run_id: str,
    config: RunConfig,
    trigger: Trigger,
    dag_id: str = "",
    dag_run_id: str = "",
    sweep: str = "",
    trials: Sequence[RunConfig] = (),
    observer: Observer | None = None,
) -> Run:
    """Writes run.json, or finds the one that an earlier try has written.

    Args:
        ledger: where the run lives.
        run_id: the run.
        config: what it does.
        trigger: what has started it.
        dag_id: the DAG, where there is one.
        dag_run_id: and its run.
        sweep: the sweep that this run is a trial of; empty: none.
        trials: the configurations of all its trials.
        observer: who is told of the run; series are reserved for one that sends.

    Raises:
        RunConflictError: the run was started with other parameters or by other code.
    """
    commit, dirty = _git_state()
    record = RunRecord(
        run_id=run_id,
        model=config.model,
        trigger=trigger,
        config=config.to_dict(),
        seed=seed_of(run_id) if config.training.seed is None else config.training.seed,
        code_sha256=code_sha256(),
        created=time.time(),
        synthetic=config.data.source == "synthetic",
        classes=list(CLASSES),
        dag_id=dag_id,
        dag_run_id=dag_run_id,
        sweep=sweep,
        git_commit=commit,
        git_dirty=dirty,
        versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    )
    if observer and observer.sends and not ledger.store.exists(ledger.run(run_id).key("run.json")):
        record = with_room(ledger.store, record, [one.training.epochs for one in trials or [config]])
    run = ledger.create(record)
    if not run.summary():
        run.update_summary(lambda summary: summary)
    return run


def _git_state() -> tuple[str, bool]:
    """Commit and whether files differ from it; where this is no git checkout, what `CATWALK_GIT_COMMIT` says."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("CATWALK_GIT_COMMIT", ""), False  # an image holds the files, not the checkout


@dataclasses.dataclass
class Attempt:
    """One try of one stage, while it runs."""

    run: Run
    record: AttemptRecord
    _cancelled: threading.Event

    def check_cancelled(self) -> None:
        """Raises:
        CancelledError: this process was told to stop.
        """
        if self._cancelled.is_set():
            raise CancelledError(
                f"{self.record.stage} was told to stop; what it had is saved, and a retry goes on from there"
            )

    def summarise(self, change: Callable[[SummaryRecord], SummaryRecord]) -> SummaryRecord:
        """Changes the run's summary."""
        return self.run.update_summary(lambda summary: touched(change(summary), time.time()), self.check_cancelled)


@contextmanager
def _attempt(run: Run, stage: Stage, observer: Observer) -> Iterator[Attempt]:
    """Records start, end, outcome and cost of one try of a stage, and tells the observer."""
    if stage != "publish":
        check_code(run.record, code_sha256())
    record = run.start_attempt(stage, time.time(), socket.gethostname(), os.getpid())
    cpu = _cpu_seconds()
    log.info("run %s: %s, attempt %d", run.run_id, stage, record.number)
    run.update_summary(lambda summary: _started(summary, record))
    outcome: Outcome = "failed"
    error = ""
    with _stop_signals() as cancelled:
        try:
            with memory.advice(RunConfig.from_dict(run.record.config)):
                yield Attempt(run, record, cancelled)
            outcome = "succeeded"
        except CancelledError as stop:
            outcome, error = "cancelled", str(stop)
            raise
        except SupersededError as stop:
            outcome, error = "superseded", str(stop)
            raise
        except BaseException as failure:
            error = str(failure) if isinstance(failure, CatwalkError) else f"{type(failure).__name__}: {failure}"
            raise
        finally:
            ended = dataclasses.replace(
                record,
                ended=time.time(),
                outcome=outcome,
                error=" ".join(error.split())[:500],
                cpu_seconds=_cpu_seconds() - cpu,
                peak_memory_bytes=_peak_memory_bytes(),
                points_dropped=observer.take_dropped(),
            )
            _end(run, ended)
            if outcome != "superseded":
                observer.stage_finished(run.record, ended)


def _started(summary: SummaryRecord, record: AttemptRecord) -> SummaryRecord:
    before = summary.stages.get(record.stage, StageSummary())
    of_stage = dataclasses.replace(
        before, attempts=max(record.number, before.attempts), started=record.started, ended=None
    )
    # publish works on a run that has ended one way or the other; it alone says which.
    state = summary.state if record.stage == "publish" else "running"
    finished = summary.finished if record.stage == "publish" else None
    return dataclasses.replace(
        touched(summary, record.started),
        stage=record.stage,
        stages={**summary.stages, record.stage: of_stage},
        state=state,
        finished=finished,
    )


def _end(run: Run, ended: AttemptRecord) -> None:
    """Stores an attempt's end. Where the store itself is down, the error that stopped the stage matters more."""

    def change(summary: SummaryRecord) -> SummaryRecord:
        if ended.outcome == "superseded":
            return summary
        of_stage = dataclasses.replace(
            summary.stages.get(ended.stage, StageSummary()), seconds=ended.duration_seconds, ended=ended.ended
        )
        state: State = "cancelled" if ended.outcome == "cancelled" else summary.state
        return dataclasses.replace(
            touched(summary, ended.ended or 0.0),
            stages={**summary.stages, ended.stage: of_stage},
            state=state,
            error=ended.error or (summary.error if ended.stage == "publish" else ""),
            points_dropped=summary.points_dropped + ended.points_dropped,
        )

    try:
        run.end_attempt(ended)
        run.update_summary(change)
    except CatwalkError as failure:
        if ended.outcome == "succeeded":
            raise
        log.error("the end of this attempt could not be recorded: %s", failure)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_memory_bytes() -> int:
    kilobyte = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Turns SIGTERM and SIGINT into a flag, so that a stage stops where it can save what it has."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        flag.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ingest(run: Run, observer: Observer) -> None:
    """Reads, splits and stores the dataset. Writes ``dataset.json``.

    Raises:
        DatasetError: a file of the dataset is missing or damaged.
    """
    if run.dataset():
        _already(run, "ingest")
        return
    with _attempt(run, "ingest", observer) as attempt:
        from ml.fashion_mnist.dataset import read_splits, store_dataset

        config = RunConfig.from_dict(run.record.config).data
        splits = read_splits(config)
        attempt.check_cancelled()
        record = run.put_once("dataset.json", store_dataset(run.store, config, splits))
        for name, split in record.splits.items():
            log.info("%s: %d examples, by class %s", name, split.examples, split.class_counts)
        log.info("training data: %s", ", ".join(f"{name} {value:.4f}" for name, value in record.statistics.items()))
        train = record.splits["train"]
        attempt.summarise(
            lambda summary: dataclasses.replace(
                summary,
                dataset_sha256=record.sha256,
                class_shares=[count / train.examples for count in train.class_counts],
                statistics=record.statistics,
            )
        )


def train(run: Run, observer: Observer) -> None:
    """Trains the network, from the last checkpoint where there is one. Writes ``epochs.json`` once an epoch, and
    ``model.safetensors``.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
        CancelledError: told to stop; the last finished epoch is saved.
        SupersededError: a newer attempt trains this run.
    """
    before = run.training()
    if before and before.finished:
        run.store.delete(run.key("checkpoint.safetensors"))
        _already(run, "train")
        return
    with _attempt(run, "train", observer) as attempt:
        from ml.fashion_mnist.dataset import load_split
        from ml.fashion_mnist.training import Trainer, read_header

        dataset = run.dataset()
        if dataset is None:
            raise ArtifactError(f"run {run.run_id} has no dataset yet; ingest comes before train")
        config = RunConfig.from_dict(run.record.config)
        number = attempt.record.number
        ledger = Fence(
            run.store,
            run.key("epochs.json"),
            number,
            lambda body: from_json(TrainingRecord, body).attempt,
            check=attempt.check_cancelled,
        )
        checkpoint = Fence(
            run.store, run.key("checkpoint.safetensors"), number, lambda body: int(read_header(body)["attempt"])
        )
        mean, stddev = dataset.statistics["pixel_mean"], dataset.statistics["pixel_stddev"]
        trainer = Trainer.start(config, run.record.seed, mean, stddev)
        saved = run.store.find(checkpoint.key)
        if saved:
            trainer.restore(saved.body)
            log.info("resumed after epoch %d of %d", len(trainer.epochs), config.training.epochs)
            if not trainer.reproducible:
                log.warning("device, threads or torch build differ from before: the weights' last bits will too")

        def record() -> TrainingRecord:
            return TrainingRecord(
                attempt=number,
                epochs=list(trainer.epochs),
                device=trainer.fingerprint["device"],
                threads=int(trainer.fingerprint["threads"]),
                torch=trainer.fingerprint["torch"],
                reproducible=trainer.reproducible,
                parameters=sum(p.numel() for p in trainer.network.parameters()),
            )

        # From here on an older attempt that still lives is refused at its next write.
        ledger.write(to_json(record()))
        written, state = time.monotonic(), b""

        def after_epoch(epoch: EpochRecord) -> None:
            nonlocal written, state
            ledger.write(to_json(record()))
            observer.epoch_finished(run.record, epoch)
            attempt.summarise(lambda summary: _with_training(summary, record()))
            log.info("%s", _epoch_line(epoch, config.training.epochs))
            state = trainer.state(number)
            last = epoch.epoch == config.training.epochs
            if last or time.monotonic() - written >= config.training.checkpoint_seconds:
                checkpoint.write(state)
                written, state = time.monotonic(), b""

        train_split, validation = (load_split(run.store, dataset, name) for name in ("train", "validation"))
        try:
            trainer.run(train_split, validation, after_epoch, attempt.check_cancelled)
        except CancelledError:
            if state:
                checkpoint.write(state)
            raise
        weights = trainer.weights()
        _store_model(run, weights, ledger, to_json(record()))
        digest = hashlib.sha256(weights).hexdigest()
        whole = dataclasses.replace(record(), model_sha256=digest, model_bytes=len(weights))
        ledger.write(to_json(whole))
        verified_model(run)
        run.store.delete(checkpoint.key)
        attempt.summarise(lambda summary: _with_training(summary, whole))


def _with_training(summary: SummaryRecord, record: TrainingRecord) -> SummaryRecord:
    last, best = record.epochs[-1], record.best
    return dataclasses.replace(
        summary,
        model_sha256=record.model_sha256,
        epochs=len(record.epochs),
        reproducible=record.reproducible,
        last_validation_loss=last.validation_loss,
        last_validation_accuracy=last.validation_accuracy,
        best_epoch=best.epoch if best else None,
        best_validation_loss=best.validation_loss if best else None,
    )


def _epoch_line(epoch: EpochRecord, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch:>{len(str(epochs))}}/{epochs}: train loss {epoch.train_loss:.4f}, accuracy "
        f"{epoch.train_accuracy:.2%}; validation loss {epoch.validation_loss:.4f}, accuracy "
        f"{epoch.validation_accuracy:.2%}; rate {epoch.learning_rate:.4f}; {epoch.duration_seconds:.1f} s, "
        f"{epoch.examples_per_second:,.0f} examples/s"
    )


def _store_model(run: Run, weights: bytes, ledger: Fence, proof: bytes) -> None:
    """Writes the model; one with other bits, left by an older attempt, is replaced if this attempt still leads."""
    key = run.key("model.safetensors")
    try:
        run.store.put(key, weights, create=True)
    except PreconditionFailedError:
        ledger.write(proof)
        run.store.put(key, weights)


def test(run: Run, observer: Observer) -> None:
    """Scores the trained model on the test split. Writes ``predictions.safetensors`` and ``evaluation.json``.

    Raises:
        ArtifactError: the model or the dataset is missing, or is not what its sha256 says.
    """
    if run.evaluation():
        _already(run, "test")
        return
    with _attempt(run, "test", observer) as attempt:
        from safetensors.torch import save

        from catwalk.gate.baselines import score_incumbents
        from ml.fashion_mnist.dataset import load_split
        from ml.fashion_mnist.evaluation import evaluate, predict, table

        dataset, training = run.dataset(), run.training()
        if dataset is None or training is None:
            raise ArtifactError(f"run {run.run_id} has no trained model yet; train comes before test")
        import torch

        torch.set_num_threads(RunConfig.from_dict(run.record.config).training.threads)
        network = load_model(run)
        attempt.check_cancelled()
        predictions, seconds = predict(network, load_split(run.store, dataset, "test"))
        body = save({"logits": predictions.logits.clone(), "labels": predictions.labels})
        run.store.put(run.key("predictions.safetensors"), body)
        score = evaluate(predictions, run.record.classes, training.model_sha256, dataset.sha256, seconds)
        record = run.put_once("evaluation.json", score)
        log.info("%s", table(record))
        observer.test_finished(run.record, record)
        score_incumbents(run)
        attempt.summarise(
            lambda summary: dataclasses.replace(
                summary,
                test_accuracy=record.accuracy,
                test_loss=record.loss,
                test_calibration_error=record.calibration_error,
                test_class_accuracy=record.class_accuracy,
            )
        )


def decide(run: Run, observer: Observer) -> None:
    """Ships the run's model or holds it. Writes ``decision.json``; a ship makes it the champion.

    Raises:
        ArtifactError: the model was not tested, or is not the one that was.
    """
    if run.decision():
        _already(run, "decide")
        return
    with _attempt(run, "decide", observer) as attempt:
        decision = run.put_once("decision.json", _decide(run, attempt.check_cancelled))
        log.info("%s", decision.sentence)
        attempt.summarise(
            lambda summary: dataclasses.replace(
                summary,
                decision=decision.decision,
                reason=decision.reason,
                sentence=decision.sentence,
                decided=decision.finished,
                checks=decision.checks,
            )
        )


def _decide(run: Run, check: Callable[[], None]) -> DecisionRecord:
    """Decides and, on ship, promotes; who loses the race for the champion decides again against the new one."""
    evaluation = run.evaluation()
    if evaluation is None:
        raise ArtifactError(f"run {run.run_id} was not tested yet; test comes before decide")
    from catwalk.gate.baselines import count_decision, incumbents, ruling, standing
    from catwalk.gate.promotion import promote

    def step() -> DecisionRecord:
        current, problem = standing(run)
        result = ruling(run, evaluation, current[0] if current else None, problem)
        if result.decision == "ship" and not (current and current[0].run_id == run.run_id):
            promote(run, current, by="gate", reason=result.reason)
        return DecisionRecord(
            decision=result.decision,
            reason=result.reason,
            sentence=result.sentence,
            checks=result.checks,
            champion=incumbents(run, current[0] if current else None).get("champion", ""),
            model_sha256=evaluation.model_sha256,
            finished=time.time(),
            split_decisions=count_decision(run),
        )

    return swap(f"the champion of {run.record.model}", step, check)


def publish(run: Run, observer: Observer) -> None:
    """Says how the run ended, builds its report and sends its points once more, whatever happened before."""
    if not run.store.exists(run.key("run.json")):
        log.warning("run %s was never opened (its parameters were refused): nothing to publish", run.run_id)
        return
    with _attempt(run, "publish", observer):
        decision, attempts = run.decision(), run.attempts()
        last = next((record for record in reversed(attempts) if record.stage != "publish"), None)
        not_tested = "" if decision else passed_over(run)
        ended = bool(decision or not_tested)
        state: State = "succeeded" if ended else "cancelled" if last and last.outcome == "cancelled" else "failed"
        error = "" if ended else _failure(last)
        now = time.time()
        run.update_summary(
            lambda summary: dataclasses.replace(
                touched(summary, now),
                state=state,
                error=error,
                finished=summary.finished or now,
                reason=NOT_CHOSEN if not_tested else summary.reason,
                sentence=not_tested or summary.sentence,
            )
        )
        log.info("run %s %s%s", run.run_id, state, f": {error or not_tested}" if error or not_tested else "")
        _report(run)
    sent = send_again(run, observer)
    log.info("%d points sent again%s", sent.arrived, f", {sent.lost} could not be sent" if sent.lost else "")
    if sent.lost or sent.left_out != run.record.series_left_out:
        run.update_summary(
            lambda summary: dataclasses.replace(
                summary, points_dropped=summary.points_dropped + sent.lost, series_left_out=sent.left_out
            )
        )


def _report(run: Run) -> None:
    """Builds and stores the report; without one a run is as good as before, so nothing that goes wrong here counts."""
    try:
        from catwalk.report.build import build

        report = build(run)
        reports.store(run, report)
    except Exception as error:
        reason = str(error) if isinstance(error, CatwalkError) else f"{type(error).__name__}: {error}"
        log.warning("no report: %s; `catwalk report %s` tries again", " ".join(reason.split()), run.run_id)
    else:
        missing = f", without {', '.join(report.missing)}" if report.missing else ""
        log.info("report stored as %s%s", run.key("report.html"), missing)


def _failure(last: AttemptRecord | None) -> str:
    if last is None:
        return "no stage has started"
    if last.outcome == "succeeded":
        return f"the run went no further than {last.stage}"
    return last.error or f"{last.stage} was killed in attempt {last.number}, before it could say why"


def _already(run: Run, stage: Stage) -> None:
    check_code(run.record, code_sha256())
    log.info("run %s: %s has finished before; nothing to do", run.run_id, stage)


STAGE_FUNCTIONS: dict[Stage, Callable[[Run, Observer], None]] = dict(
    zip(STAGES, (ingest, train, test, decide, publish), strict=True)
)


def run_stages(run: Run, observer: Observer) -> None:
    """All stages in order, as the DAG runs them: publish comes last in any case, and the first error is raised."""
    try:
        for stage in STAGES[:-1]:
            STAGE_FUNCTIONS[stage](run, observer)
    finally:
        publish(run, observer)

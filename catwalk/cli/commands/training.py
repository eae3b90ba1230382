"""``catwalk run`` and ``catwalk predict``."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from catwalk.cli.commands.models import announce
from catwalk.cli.knob_flags import without_knobs
from catwalk.cli.lookup import champion_model, observed_ledger
from catwalk.cli.options import Json, Model
from catwalk.cli.terminal import complain
from catwalk.errors import CancelledError, CatwalkError

if TYPE_CHECKING:
    from catwalk.cli.prediction import Answer
    from catwalk.knobs import Config
    from catwalk.ledger.runs import Ledger, Run
    from catwalk.telemetry.observer import Observer
    from catwalk.trainable import Arrays, Invert, Readable, Trainable


WhatToTrain = Annotated[
    str,
    typer.Argument(
        metavar="[PACKAGE.MODULE:NAME]",
        help="The Trainable to train; default: CATWALK_TRAINABLE. Its settings are flags of this command.",
        show_default=False,
    ),
]
RunId = Annotated[str | None, typer.Option(help="Resume this run, or start one with this id.", show_default=False)]


@without_knobs
def run(trainable: WhatToTrain = "", run_id: RunId = None, json: Json = False, **settings: Any) -> None:
    """Train, test and decide on this machine: the stages of the DAG, without Airflow.

    With the id of an interrupted run, it resumes where the run stopped, with the run's own configuration.
    """
    from catwalk.cli import trainables
    from catwalk.cli.progress import ProgressObserver
    from catwalk.cli.tables import output
    from catwalk.ledger.models.champion import in_service
    from catwalk.ledger.runs import new_run_id
    from catwalk.stages.lifecycle.opening import open_run

    given = {name: value for name, value in settings.items() if value is not None}
    model = trainables.chosen(trainable)
    fresh = None if run_id else model.config.from_flat(given)  # refuse bad values before using the store
    ledger, observer = observed_ledger()
    run_id = run_id or new_run_id()
    config, finished_epochs = (fresh, 0) if fresh else _configuration(ledger, run_id, model, given)
    console = output.stderr()
    _log_to_stderr(bars=console.is_terminal)
    signal.signal(signal.SIGTERM, _interrupt)
    run = open_run(ledger, run_id, model, config, "cli", observer=observer)
    console.print(f"run {run_id}", highlight=False)
    with ProgressObserver(observer, console, model.plan(config).epochs, finished_epochs) as progress:
        _run_stages(run, progress, trainable)
    champion = in_service(run)
    if champion:
        announce(champion)
    _report(run, progress.resent, json)


def _log_to_stderr(bars: bool) -> None:
    """Logs to stderr; without a progress bar, the log's line for each epoch replaces it."""
    logging.basicConfig(level=logging.WARNING if bars else logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def _run_stages(run: Run, observer: Observer, trainable: str) -> None:
    """
    Raises:
        CatwalkError: Someone stopped it; the message says how to resume.
    """
    from catwalk.stages.pipeline import run_stages

    try:
        run_stages(run, observer)
    except (CancelledError, KeyboardInterrupt) as stop:
        _mark_cancelled(run)
        again = f"catwalk run {trainable}".rstrip() + f" --run-id {run.run_id}"
        raise CatwalkError(f"cancelled; `{again}` resumes where it stopped") from stop


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Handles SIGTERM between two stages; within a stage, the stage handles it."""
    raise KeyboardInterrupt


def _mark_cancelled(run: Run) -> None:
    """Records that the run was stopped by hand between two stages: nothing else does."""
    from dataclasses import replace

    run.update_summary(
        lambda summary: summary if summary.state == "succeeded" else replace(summary, state="cancelled", error="")
    )


def _configuration(ledger: Ledger, run_id: str, model: Trainable, given: dict[str, Any]) -> tuple[Config, int]:
    """The configuration to use and the number of finished epochs: those of an existing run, unless flags contradict it.

    Raises:
        CatwalkError: The run belongs to another Trainable.
    """
    from catwalk.errors import NotFoundError
    from catwalk.trainable import config_of

    run = ledger.run(run_id)
    try:
        record = run.record
    except NotFoundError:
        return model.config.from_flat(given), 0
    if record.trainable not in ("", model.reference):
        raise CatwalkError(
            f"run {run_id} belongs to {record.trainable}; resume it with `catwalk run {record.trainable} --run-id "
            f"{run_id}`"
        )
    recorded = config_of(model, record)
    training = run.training()
    config = model.config.from_flat({**recorded.flat(), **given}) if given else recorded
    return config, len(training.epochs) if training else 0


def _report(run: Run, resent: int, json: bool) -> None:

    from catwalk.cli.tables import output
    from catwalk.ledger.summaries import run_seconds

    summary, evaluation = run.summary(), run.evaluation()
    if json:
        output.print_json({"summary": output.plain(summary), "points_sent_again": resent})
        return
    assert summary is not None  # run_stages has written it
    if evaluation:
        output.show(output.evaluation_facts(evaluation), "")
    took = output.duration(run_seconds(summary, time.time()))
    sent = (
        f"{resent:,} points sent"
        if resent
        else "no points sent" + ("" if os.environ.get("CATWALK_STATSD") else " (CATWALK_STATSD is not set)")
    )
    output.show(
        output.sentence(summary),
        f"run {run.run_id} {output.coloured(summary.state)} in {took}; {sent}",
    )


Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Files with one input each, such as an image; - reads one from standard input.",
        show_default=False,
    ),
]
InvertOption = Annotated[
    Literal["auto", "yes", "no"],
    typer.Option(help="Invert an image; auto does so if its background differs from that of the training images."),
]


def predict(files: Files, invert: InvertOption = "auto", model: Model = "", json: Json = False) -> None:
    """Print the champion's three likeliest classes for each file; an unreadable file doesn't stop the others."""
    from catwalk.cli.tables import output

    champion, run, body = champion_model(model)
    reader = _reader(run)
    seen = [(path, _seen(reader, path, invert)) for path in files]
    answers = _answers(run, body, [found for _, found in seen if not isinstance(found, str)])
    answered = [(path, found if isinstance(found, str) else next(answers)) for path, found in seen]
    if json:
        guesses = [{"image": str(path), **_guess(answer)} for path, answer in answered]
        output.print_json({"run_id": champion.run_id, "model": champion.model, "predictions": guesses})
    else:
        for path, answer in answered:
            if not isinstance(answer, str):
                print(f"{path}: " + ", ".join(f"{name} {share:.1%}" for name, share in answer))
    raise typer.Exit(int(any(isinstance(answer, str) for _, answer in answered)))


def _reader(run: Run) -> Readable:
    from catwalk.cli import trainables
    from catwalk.trainable import Readable, of_model

    found = of_model(run.record, trainables.default())
    if not isinstance(found, Readable):
        raise CatwalkError(f"{found.reference} can't read files: it has no method `read`")
    return found


def _seen(reader: Readable, path: Path, invert: Invert) -> Arrays | str:
    """A file's content, or why the champion can't be asked about it, which is reported at once."""
    try:
        return reader.read(path, invert)
    except CatwalkError as error:
        complain(str(error))
        return str(error)


def _answers(run: Run, body: bytes, inputs: Sequence[Arrays]) -> Iterator[Answer]:
    """One answer per file; without files the model isn't loaded."""
    if not inputs:
        return iter(())
    from catwalk.cli import trainables
    from catwalk.cli.prediction import top_classes
    from catwalk.trainable import of_model

    return iter(top_classes(of_model(run.record, trainables.default()), run.record, body, inputs, count=3))


def _guess(answer: Answer | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"error": answer}
    return {"classes": [{"class": name, "probability": share} for name, share in answer]}

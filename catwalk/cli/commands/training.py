"""``catwalk run`` and ``catwalk predict``."""

from __future__ import annotations

import inspect
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from catwalk.cli.commands.models import announce
from catwalk.cli.lookup import champion_model, observed_ledger
from catwalk.cli.options import Json, Model
from catwalk.cli.terminal import complain
from catwalk.errors import CancelledError, CatwalkError
from catwalk.knobs import Knob, knobs
from ml.fashion_mnist.config import RunConfig

if TYPE_CHECKING:
    from catwalk.cli.images import Invert
    from catwalk.cli.prediction import Answer
    from catwalk.ledger.runs import Ledger, Run


def _flag(knob: Knob) -> inspect.Parameter:
    """A knob as an option; None means that it wasn't given."""
    kind: Any = Literal[knob.choices] if knob.choices else knob.type
    default = "" if knob.default is None else f" Default: {knob.text_default}."
    option = typer.Option(
        f"--{knob.name.replace('_', '-')}",
        help=knob.help + default,
        show_default=False,
        rich_help_panel=f"{knob.section.title()} settings",
    )
    return inspect.Parameter(
        knob.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _command_with_knobs(function: Callable[..., None]) -> Callable[..., None]:
    """Gives a function one parameter a knob, where it has ``**settings``: that is what typer makes flags of."""
    run_id = Annotated[
        str | None, typer.Option(help="Take up this run, or start one under this id.", show_default=False)
    ]
    own = [
        inspect.Parameter("run_id", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=run_id),
        inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json),
    ]
    parameters = [*own, *map(_flag, knobs(RunConfig))]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


@_command_with_knobs
def run(run_id: str | None = None, json: bool = False, **settings: Any) -> None:
    """Train, test and decide on this machine: the stages that the DAG runs, without Airflow.

    The same run id takes up an interrupted run where it stopped, with the configuration it was started with.
    """
    from catwalk.cli.progress import ProgressObserver
    from catwalk.cli.tables import output
    from catwalk.ledger.champion import in_service
    from catwalk.ledger.runs import new_run_id
    from catwalk.stages.pipeline import open_run, run_stages

    given = {name: value for name, value in settings.items() if value is not None}
    ledger, observer = observed_ledger()
    run_id = run_id or new_run_id()
    config, finished_epochs = _configuration(ledger, run_id, given)
    console = output.stderr()
    # Where no bar is drawn, the log's line an epoch takes its place.
    logging.basicConfig(
        level=logging.WARNING if console.is_terminal else logging.INFO, format="%(message)s", stream=sys.stderr
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _interrupt)
    run = open_run(ledger, run_id, config, "cli", observer=observer)
    console.print(f"run {run_id}", highlight=False)
    with ProgressObserver(observer, console, config.training.epochs, finished_epochs) as progress:
        try:
            run_stages(run, progress)
        except (CancelledError, KeyboardInterrupt) as stop:
            _mark_cancelled(run)
            raise CatwalkError(f"cancelled; `catwalk run --run-id {run_id}` goes on where it stopped") from stop
    champion = in_service(run)
    if champion:
        announce(champion)
    _report(run, progress.resent, json)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """SIGTERM between two stages; within one, the stage itself listens."""
    raise KeyboardInterrupt


def _mark_cancelled(run: Run) -> None:
    """Between two stages nobody else records that the run was stopped by hand."""
    from dataclasses import replace

    run.update_summary(
        lambda summary: summary if summary.state == "succeeded" else replace(summary, state="cancelled", error="")
    )


def _configuration(ledger: Ledger, run_id: str, given: dict[str, Any]) -> tuple[RunConfig, int]:
    """The configuration in force and the epochs that are done: of an existing run, unless flags contradict it."""
    from catwalk.errors import NotFoundError

    run = ledger.run(run_id)
    try:
        recorded = RunConfig.from_dict(run.record.config)
    except NotFoundError:
        return RunConfig.from_flat(given), 0
    training = run.training()
    config = RunConfig.from_flat({**recorded.flat(), **given}) if given else recorded
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


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...",
            help="Pictures of one garment each; - reads one from standard input.",
            show_default=False,
        ),
    ],
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(
            help="The model knows light garments on black; auto inverts a picture whose border is light, and a dark "
            "garment that is cut out."
        ),
    ] = "auto",
    model: Model = "",
    json: Json = False,
) -> None:
    """Say what garment the champion sees in each picture (top three); a picture that can't be read stops no other."""
    from catwalk.cli.tables import output

    seen = [(path, _seen(path, invert)) for path in images]
    champion, run, body = champion_model(model)
    answers = _answers(run, body, [found for _, found in seen if isinstance(found, bytes)])
    told = [(path, next(answers) if isinstance(found, bytes) else found) for path, found in seen]
    if json:
        guesses = [{"image": str(path), **_guess(answer)} for path, answer in told]
        output.print_json({"run_id": champion.run_id, "model": champion.model, "predictions": guesses})
    else:
        for path, answer in told:
            if not isinstance(answer, str):
                print(f"{path}: " + ", ".join(f"{name} {share:.1%}" for name, share in answer))
    raise typer.Exit(int(any(isinstance(answer, str) for _, answer in told)))


def _seen(path: Path, invert: Invert) -> bytes | str:
    """A picture, or why the champion can't be asked about it, which is said at once."""
    from catwalk.cli.images import read_image

    try:
        return read_image(path, invert)
    except CatwalkError as error:
        complain(str(error))
        return str(error)


def _answers(run: Run, body: bytes, pictures: list[bytes]) -> Iterator[Answer]:
    """One a picture; where there is none, torch is not imported for nothing."""
    if not pictures:
        return iter(())
    from catwalk.cli.prediction import top_classes

    return iter(top_classes(run.record, body, pictures, count=3))


def _guess(answer: Answer | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"error": answer}
    return {"classes": [{"class": name, "probability": share} for name, share in answer]}

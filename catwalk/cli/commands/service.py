"""``catwalk traffic`` and ``catwalk labels``."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catwalk.cli.lookup import champion_model, champion_of, ledger_store
from catwalk.cli.options import Json
from catwalk.cli.terminal import complain
from catwalk.errors import CatwalkError
from catwalk.ledger.model_names import spelling

if TYPE_CHECKING:
    from catwalk.cli.traffic import Traffic
    from catwalk.ledger.runs import Run
    from catwalk.service.corruptions import Corruption
    from catwalk.service.monitor import PredictionMonitor

_MOST_NAMED = 20
"""Maximum number of wrong rows of a file that are listed."""
ModelArgument = Annotated[
    str,
    typer.Argument(help="Model whose champion answers; default: the only model with a champion.", callback=spelling),
]


def finite(number: float) -> float:
    if not math.isfinite(number):
        raise typer.BadParameter(f"{number} is not a finite number")
    return number


Rate = Annotated[float, typer.Option(min=0.01, max=10_000, help="Predictions per second.", callback=finite)]
Kind = Annotated[
    Literal["none", "brightness", "rotation", "blur", "noise", "class-mix"],
    typer.Option(
        help="Change to the examples: darker, rotated by 15°, blurred, noisy, or one class four times as often."
    ),
]
Seconds = Annotated[float, typer.Option(min=0, help="Duration; 0: until it is stopped.", callback=finite)]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port for the metrics; 0: any free port.")]


def traffic(
    model: ModelArgument = "", rate: Rate = 10, corruption: Kind = "none", seconds: Seconds = 0, port: Port = 9100
) -> None:
    """Send the champion its test examples, like requests to a service, and count them for Prometheus."""
    _, run, body = champion_model(model)
    asked = _traffic(run, body, corruption, rate)
    monitor, served = _monitor(run, port)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print(f"{run.record.model}, run {run.run_id}: {rate:g} predictions per second, corruption {corruption}; metrics at "
          f"http://127.0.0.1:{served}/metrics", flush=True)  # fmt: skip
    print(f"{asked.drive(monitor, stop, seconds):,} predictions made")


LabelFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="CSV with the columns id, label and, if known, time. Without it: join the labels that services received.",
        show_default=False,
    ),
]
LabelledModel = Annotated[
    str, typer.Argument(help="Model of the labels; default: the only model with a champion.", callback=spelling)
]


def labels(file: LabelFile = None, model: LabelledModel = "", json: Json = False) -> None:
    """Store labels that arrived later, join them to logged predictions, and show the realised quality.

    You can send known labels again. Wrong rows are listed, and the others are stored.
    """
    from catwalk.cli.tables import labels_table, output
    from catwalk.service.labels import arrival

    store = ledger_store()
    taken = arrival.labels(model or champion_of(store, "").model, () if file is None else file, store)
    if json:
        output.print_json(output.plain(taken))
    else:
        print("\n".join(labels_table.lines(taken)))
        if taken.realised:
            output.show(labels_table.table(taken.realised))
    for line in taken.refused[:_MOST_NAMED]:
        complain(f"refused: {line}")
    if len(taken.refused) > _MOST_NAMED:
        complain(f"{len(taken.refused) - _MOST_NAMED:,} more rows were refused")
    raise typer.Exit(int(bool(taken.refused)))


def _traffic(run: Run, body: bytes, corruption: Corruption, rate: float) -> Traffic:
    from catwalk.cli import trainables
    from catwalk.cli.traffic import Traffic
    from catwalk.stages.artifacts.datasets import load_split
    from catwalk.trainable import config_of, of_model

    dataset = run.dataset()
    if dataset is None:
        raise CatwalkError(f"run {run.run_id} no longer has a dataset, so there are no examples to send")
    found = of_model(run.record, trainables.default())
    predict = found.predictor(config_of(found, run.record), body)
    return Traffic(predict, load_split(run.store, dataset, "test"), corruption, rate)


def _monitor(run: Run, port: int) -> tuple[PredictionMonitor, int]:
    """A monitor that serves its series at this port, in their own registry, and the port."""
    from prometheus_client import CollectorRegistry

    from catwalk.service import reference
    from catwalk.service.monitor import PredictionMonitor

    monitor = PredictionMonitor(run.record.model, reference=reference.of_run(run), registry=CollectorRegistry())
    try:
        return monitor, monitor.serve(port)
    except OSError as error:
        raise CatwalkError(f"can't listen on port {port}: {error.strerror}; choose another with --port") from error

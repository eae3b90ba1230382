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
"""Rows of a file that are wrong."""
ModelArgument = Annotated[
    str, typer.Argument(help="Whose champion is asked; the only one's, if left out.", callback=spelling)
]


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise typer.BadParameter(f"{number} is no number of these")
    return number


Rate = Annotated[float, typer.Option(min=0.01, max=10_000, help="Predictions a second.", callback=_finite)]
Kind = Annotated[
    Literal["none", "brightness", "rotation", "blur", "noise", "class-mix"],
    typer.Option(help="What befalls the examples: darker, turned by 15°, blurred, noisy, or one class four times."),
]
Seconds = Annotated[float, typer.Option(min=0, help="For how long; 0: until it is stopped.", callback=_finite)]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Where Prometheus finds the metrics; 0: any free one.")]


def traffic(
    model: ModelArgument = "", rate: Rate = 10, corruption: Kind = "none", seconds: Seconds = 0, port: Port = 9100
) -> None:
    """Ask the champion about its test examples, as a service would be asked, and count that for Prometheus."""
    _, run, body = champion_model(model)
    asked = _traffic(run, body, corruption, rate)
    monitor, served = _monitor(run, port)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print(f"{run.record.model}, run {run.run_id}: {rate:g} predictions a second, corruption {corruption}; metrics at "
          f"http://127.0.0.1:{served}/metrics", flush=True)  # fmt: skip
    print(f"{asked.drive(monitor, stop, seconds):,} predictions made")


LabelFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="CSV with the columns id, label and, if known, time. Left out: what services have taken is joined.",
        show_default=False,
    ),
]
LabelledModel = Annotated[
    str, typer.Argument(help="Whose labels these are; the only champion's, if left out.", callback=spelling)
]


def labels(file: LabelFile = None, model: LabelledModel = "", json: Json = False) -> None:
    """Store labels that came late, join them to the predictions that were logged, and say how good these were.

    Labels that are known may come again. Rows that are wrong are named, and the others are taken.
    """
    from catwalk.cli.tables import labels_table, output
    from catwalk.service.labels import arrival

    store = ledger_store()
    taken = arrival.labels(model or champion_of(store, "").model, () if file is None else file, store)
    if json:
        output.print_json(output.plain(taken))
    else:
        print("\n".join(labels_table.told(taken)))
        if taken.realised:
            output.show(labels_table.table(taken.realised))
    for line in taken.refused[:_MOST_NAMED]:
        complain(f"refused: {line}")
    if len(taken.refused) > _MOST_NAMED:
        complain(f"{len(taken.refused) - _MOST_NAMED:,} more rows are refused")
    raise typer.Exit(int(bool(taken.refused)))


def _traffic(run: Run, body: bytes, corruption: Corruption, rate: float) -> Traffic:
    from catwalk.cli import trainables
    from catwalk.cli.traffic import Traffic
    from catwalk.stages.artifacts.datasets import load_split
    from catwalk.trainable import config_of, of_model

    dataset = run.dataset()
    if dataset is None:
        raise CatwalkError(f"run {run.run_id} has no dataset any more, so there is nothing to ask")
    found = of_model(run.record, trainables.default())
    predict = found.predictor(config_of(found, run.record), body)
    return Traffic(predict, load_split(run.store, dataset, "test"), corruption, rate)


def _monitor(run: Run, port: int) -> tuple[PredictionMonitor, int]:
    """One whose series are at this port, in a registry of their own."""
    from prometheus_client import CollectorRegistry

    from catwalk.service import reference
    from catwalk.service.monitor import PredictionMonitor

    monitor = PredictionMonitor(run.record.model, reference=reference.of_run(run), registry=CollectorRegistry())
    try:
        return monitor, monitor.serve(port)
    except OSError as error:
        raise CatwalkError(f"port {port} can't be served on: {error.strerror}; give another with --port") from error

"""``catwalk serve`` and ``catwalk traffic``."""

from __future__ import annotations

import math
import signal
from threading import Event
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catwalk.cli.lookup import champion_model
from catwalk.errors import CatwalkError
from catwalk.ledger.model_names import spelling

if TYPE_CHECKING:
    from catwalk.cli.traffic import Traffic
    from catwalk.ledger.runs import Run
    from catwalk.service.corruptions import Corruption
    from catwalk.service.monitor import PredictionMonitor

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


Host = Annotated[str, typer.Option(help="Address to listen on.")]
ServePort = Annotated[
    int, typer.Option(min=0, max=65_535, envvar="CATWALK_PORT_SERVE", help="Where it answers; 0: any free port.")
]
MetricsPort = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        envvar="CATWALK_PORT_SERVE_METRICS",
        help="Where Prometheus finds the metrics; 0: any free one.",
    ),
]
Pinned = Annotated[
    str, typer.Option("--run", help="Serve this run's model, whoever is the champion.", show_default=False)
]
Poll = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks for a new champion.", callback=_finite)]
BodyBytes = Annotated[int, typer.Option(min=1, help="Largest body of a request.")]
Batch = Annotated[int, typer.Option(min=1, help="Most examples in a request.")]
Patience = Annotated[
    float, typer.Option(min=0.1, help="For a request's body, and from there to its answer.", callback=_finite)
]
Requests = Annotated[int, typer.Option(min=1, help="Most requests that are answered, or wait for it, at once.")]
Notice = Annotated[
    float, typer.Option(min=0, help="From SIGTERM, while /readyz says so and all is answered.", callback=_finite)
]
Drain = Annotated[float, typer.Option(min=0.1, help="From SIGTERM to the end at the latest.", callback=_finite)]


def serve(
    model: ModelArgument = "",
    host: Host = "127.0.0.1",
    port: ServePort = 9182,
    metrics_port: MetricsPort = 9183,
    run: Pinned = "",
    poll_seconds: Poll = 10,
    max_body_bytes: BodyBytes = 8 * 2**20,
    max_batch: Batch = 1_000,
    request_seconds: Patience = 10,
    max_requests: Requests = 64,
    notice_seconds: Notice = 2,
    drain_seconds: Drain = 30,
) -> None:
    """Answer over HTTP by the champion, and by each that follows it, without a failed request in between."""
    from catwalk.cli.lookup import ledger_store, resolve
    from catwalk.serving.limits import Limits
    from catwalk.serving.process import Address
    from catwalk.serving.process import serve as answer

    limits = Limits(
        max_body_bytes, max_batch, request_seconds, max_requests, poll_seconds, notice_seconds, drain_seconds
    )
    pinned = resolve(run) if run else None
    name = pinned.record.model if pinned else model or _only_model()
    answer(ledger_store(), name, Address(host, port, metrics_port), limits, pinned.run_id if pinned else "")


def _only_model() -> str:
    """Whose champion is served where nobody says so.

    Raises:
        CatwalkError: nothing tells.
    """
    from catwalk.cli import trainables
    from catwalk.cli.lookup import champion_of, ledger_store

    return trainables.default_model() or champion_of(ledger_store(), "").model

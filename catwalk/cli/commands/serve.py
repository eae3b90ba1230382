"""``catwalk serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catwalk.cli.commands.service import finite
from catwalk.ledger.model_names import spelling

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Model whose champion answers; default: that of CATWALK_TRAINABLE, or the only model with a champion.",
        callback=spelling,
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
ServePort = Annotated[
    int, typer.Option(min=0, max=65_535, envvar="CATWALK_PORT_SERVE", help="Port for requests; 0: any free port.")
]
MetricsPort = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        envvar="CATWALK_PORT_SERVE_METRICS",
        help="Port for the metrics; 0: any free port.",
    ),
]
Pinned = Annotated[
    str, typer.Option("--run", help="Serve this run's model instead of the champion.", show_default=False)
]
LogFolder = Annotated[
    Path | None,
    typer.Option("--log", help="Local folder to log predictions in, for labels that arrive later.", show_default=False),
]
Sample = Annotated[float, typer.Option(min=0, max=1, help="Share of the predictions to log.", callback=finite)]
Poll = Annotated[float, typer.Option(min=0.1, help="Seconds between checks for a new champion.", callback=finite)]
BodyBytes = Annotated[int, typer.Option(min=1, help="Largest request body, in bytes.")]
Batch = Annotated[int, typer.Option(min=1, help="Maximum number of examples in a request.")]
Patience = Annotated[
    float,
    typer.Option(min=0.1, help="Time limit to receive a request's body, and again to answer it.", callback=finite),
]
Requests = Annotated[int, typer.Option(min=1, help="Maximum number of requests in progress or waiting at once.")]
Notice = Annotated[
    float,
    typer.Option(
        min=0, help="Seconds after SIGTERM in which /readyz fails but all requests are answered.", callback=finite
    ),
]
Drain = Annotated[float, typer.Option(min=0.1, help="Maximum seconds from SIGTERM to the exit.", callback=finite)]


def serve(
    model: ModelArgument = "",
    host: Host = "127.0.0.1",
    port: ServePort = 9182,
    metrics_port: MetricsPort = 9183,
    run: Pinned = "",
    log: LogFolder = None,
    sample: Sample = 1,
    poll_seconds: Poll = 10,
    max_body_bytes: BodyBytes = 8 * 2**20,
    max_batch: Batch = 1_000,
    request_seconds: Patience = 10,
    max_requests: Requests = 64,
    notice_seconds: Notice = 2,
    drain_seconds: Drain = 30,
) -> None:
    """Serve a model's champion over HTTP, and switch to each new champion without a failed request."""
    from catwalk.cli.lookup import ledger_store, resolve
    from catwalk.serving.holder import Logging
    from catwalk.serving.limits import Limits
    from catwalk.serving.process import Address
    from catwalk.serving.process import serve as answer

    limits = Limits(
        max_body_bytes, max_batch, request_seconds, max_requests, poll_seconds, notice_seconds, drain_seconds
    )
    pinned = resolve(run) if run else None
    name = pinned.record.model if pinned else model or _only_model()
    logging = Logging(log, sample) if log else None
    answer(ledger_store(), name, Address(host, port, metrics_port), limits, pinned.run_id if pinned else "", logging)


def _only_model() -> str:
    """The model to serve if none is named.

    Raises:
        CatwalkError: It can't be determined.
    """
    from catwalk.cli import trainables
    from catwalk.cli.lookup import champion_of, ledger_store

    return trainables.default_model() or champion_of(ledger_store(), "").model

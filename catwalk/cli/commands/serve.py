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
        help="Whose champion answers; that of CATWALK_TRAINABLE, else the only one's, if left out.", callback=spelling
    ),
]
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
LogFolder = Annotated[
    Path | None,
    typer.Option(
        "--log", help="Folder of this machine in which predictions are logged, for labels to come.", show_default=False
    ),
]
Sample = Annotated[float, typer.Option(min=0, max=1, help="Share of the predictions to log.", callback=finite)]
Poll = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks for a new champion.", callback=finite)]
BodyBytes = Annotated[int, typer.Option(min=1, help="Largest body of a request.")]
Batch = Annotated[int, typer.Option(min=1, help="Most examples in a request.")]
Patience = Annotated[
    float, typer.Option(min=0.1, help="For a request's body, and from there to its answer.", callback=finite)
]
Requests = Annotated[int, typer.Option(min=1, help="Most requests that are answered, or wait for it, at once.")]
Notice = Annotated[
    float, typer.Option(min=0, help="From SIGTERM, while /readyz says so and all is answered.", callback=finite)
]
Drain = Annotated[float, typer.Option(min=0.1, help="From SIGTERM to the end at the latest.", callback=finite)]


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
    """Answer over HTTP by the champion, and by each that follows it, without a failed request in between."""
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
    """Whose champion is served where nobody says so.

    Raises:
        CatwalkError: nothing tells.
    """
    from catwalk.cli import trainables
    from catwalk.cli.lookup import champion_of, ledger_store

    return trainables.default_model() or champion_of(ledger_store(), "").model

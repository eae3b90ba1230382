"""The process of `catwalk serve`: it listens, loads, answers, and ends without a failed request."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import uvicorn
from prometheus_client import CollectorRegistry, start_http_server

from catwalk.errors import ConfigError
from catwalk.service.log.prediction_log import prepared
from catwalk.serving.app import State, app
from catwalk.serving.holder import Holder, Logging
from catwalk.serving.limits import CONNECTIONS, Limits
from catwalk.serving.protocol import limited
from catwalk.web.serving import bind

if TYPE_CHECKING:
    from catwalk.storage.store import Store

log = logging.getLogger("catwalk.serve")

TOKEN_VARIABLE = "CATWALK_SERVE_TOKEN"


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int
    """0: any free port."""
    metrics_port: int
    """0: any free port."""


def serve(
    store: Store,
    model: str,
    address: Address,
    limits: Limits,
    pinned: str = "",
    log_to: Logging | None = None,
    stopped_by: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> NoReturn:
    """Answers with a model's champion until a signal, and ends the process.

    Args:
        store: The store that holds the ledger.
        model: The model's name there.
        address: Where to listen.
        limits: The server's limits.
        pinned: A run whose model answers, whatever the champion is; empty: the champion answers.
        log_to: Where predictions are logged; None: they are not.
        stopped_by: Signals that end it.

    Raises:
        ConfigError: A port is taken, there is no such address, or the log's folder can't be used.
    """
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    registry = CollectorRegistry()
    if log_to:
        prepared(log_to.folder)
    holder = Holder(store, model, registry, pinned, log_to)
    state = State(holder, limits, os.environ.get(TOKEN_VARIABLE, ""))
    listening = _bound(address.host, address.port)
    metrics_port = _metrics(address, registry)
    host = f"[{address.host}]" if ":" in address.host else address.host
    print(
        f"{model}: http://{host}:{listening.getsockname()[1]}, metrics at http://{host}:{metrics_port}/metrics",
        flush=True,
    )
    holder.follow(limits.poll_seconds)
    config = _server_config(state)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_until_stopped(_Server(config), state, listening, stopped_by))
    holder.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that hangs, in a read of S3 or in a model, must not delay the exit.
    os._exit(0)


class _Server(uvicorn.Server):
    """A server that leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server_config(state: State) -> uvicorn.Config:
    limits = state.limits
    return uvicorn.Config(
        app(state),
        http=limited(limits),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level=logging.ERROR,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=max(1, int(limits.drain_seconds - limits.notice_seconds)),
    )


async def _until_stopped(
    server: uvicorn.Server, state: State, listening: socket.socket, signals: Sequence[signal.Signals]
) -> None:
    """Serves until a signal. Then it is unready for the notice, stops accepting, and finishes requests in progress."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await stop.wait()
    state.draining = True
    log.info("stopping: %g s of notice, then no new connections", state.limits.notice_seconds)
    await asyncio.sleep(state.limits.notice_seconds)
    server.should_exit = True
    await serving


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return bind(lambda address: socket.create_server(address, family=family, backlog=CONNECTIONS), host, port)


def _metrics(address: Address, registry: CollectorRegistry) -> int:
    try:
        server, _ = start_http_server(address.metrics_port, address.host, registry)
    except OSError as error:
        where = f"{address.host}:{address.metrics_port}"
        raise ConfigError(f"can't listen on {where}: {error.strerror}; give another with --metrics-port") from error
    return int(server.server_port)

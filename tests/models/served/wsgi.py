"""A user's service, on the standard library alone, with a thread for each request. Comments mark what watches it."""

import json
import os
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import numpy as np

import catwalk  # watch

monitor = catwalk.PredictionMonitor("churn")  # watch
monitor.serve(int(os.environ["METRICS_PORT"]))  # watch
WEIGHTS = np.array([0.8, -0.5])


def churns(customers: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(customers, dtype=float) @ WEIGHTS))


def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    customers = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    try:
        with monitor.predictions(customers) as seen:  # watch
            seen.output = churns(customers)  # watch
    except ValueError:
        start("422 Unprocessable Content", [])
        return [b"rows of age and calls, as numbers"]
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen.output.tolist()).encode()]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    with make_server("127.0.0.1", int(os.environ["PORT"]), app, Server, Quiet) as server:
        server.serve_forever()

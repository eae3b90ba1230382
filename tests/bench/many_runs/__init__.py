"""How the cost of readers grows from a hundred runs of three models to ten thousand: the command line, the exporter,
Prometheus' rules and every query of the dashboards.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from catwalk.storage.file_store import FileStore
from catwalk.storage.s3_store import S3Store
from catwalk.storage.store import Store
from tests.bench.many_runs import ledger, prometheus
from tests.bench.many_runs.history import SIZES, past_runs
from tests.bench.many_runs.templates import Template, templates
from tests.bench.measure import Growth
from tests.support.servers import ENVIRONMENT, S3Server

_ROUNDS = 3
Readings = dict[str, list[float]]


def measure(say: Callable[[str], None]) -> list[Growth]:
    """Measures every size. The same runs are in an S3 server, in Prometheus and, for the largest size, in a folder."""
    say("many runs: three real ones, of which all others are copies")
    models = templates()
    found: dict[str, dict[int, list[float]]] = {}
    for size in SIZES:
        say(f"many runs: {size:,}")
        for name, values in _size(models, size, say).items():
            found.setdefault(name, {})[size] = values
    promises = {
        **{f"{name} ({where})": how for where in ("S3", "a folder") for name, how in ledger.PROMISES.items()},
        **prometheus.PROMISES,
    }
    return [Growth(name, {size: found[name].get(size, []) for size in SIZES}, *how) for name, how in promises.items()]


def _size(models: list[Template], size: int, say: Callable[[str], None]) -> Readings:
    """Measures one size, in every place where runs are."""
    now = int(time.time()) // 10 * 10
    runs, found = past_runs(models, size, now), Readings()
    with tempfile.TemporaryDirectory(prefix="catwalk-bench-") as name:
        folder = Path(name)
        server = S3Server(folder)
        server.start()
        try:
            with mock.patch.dict(os.environ, {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": server.url}):
                stores: dict[str, Store] = {"S3": S3Store(f"s3://{server.bucket()}")}
                if size == max(SIZES):
                    stores["a folder"] = FileStore((folder / "ledger").as_uri())
                for where, store in stores.items():
                    readings = ledger.measure(store, runs, _ROUNDS, say)
                    found |= {f"{what} ({where})": values for what, values in readings.items()}
        finally:
            server.stop()
        return found | prometheus.measure(folder, runs, now, _ROUNDS, say)

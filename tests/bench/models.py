"""Ten models at once in one Prometheus: the four foreign ones, the one that comes with Catwalk, and copies of them.

Each model is trained twice, so that the second run has a champion. This measures the rules, each query of each
dashboard for each model, and the exporter's refresh. There is no history: `rules` and `dashboards` measure that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from catwalk.ledger.summaries import Summaries
from catwalk.storage.opening import open_store
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from ml.fashion_mnist import CLASSIFIER
from stack.settings import PROJECT
from tests.bench.measure import Measurement
from tests.grafana.measured import Measured
from tests.grafana.promql import all_queries
from tests.support.servers import StatsdExporter, wait_until
from tests.support.small import SMALL

FOREIGN = {"churn": ["--depth", "1"], "demand": ["--knots", "4"], "steps": ["--width", "2"], "tickets": []}
"""Model → arguments of a version that is not the default one."""
COPIES = ("churn-2", "churn-3", "demand-2", "demand-3", "steps-2")
MODELS = len(FOREIGN) + len(COPIES) + 1
_ROUNDS = 5


def measure(say: Callable[[str], None]) -> list[Measurement]:
    """Rules, dashboards, and the exporter's refresh."""
    with tempfile.TemporaryDirectory(prefix="catwalk-bench-") as folder, _watched(Path(folder)) as measured:
        _train(Path(folder), say)
        known = f"count(count by (model) (exporter:last_run_started_timestamp_seconds:held)) == {MODELS}"
        wait_until(lambda: measured.prometheus.query(known), "all models are known")
        measured.settle()
        say(f"models: asking each query for each of {MODELS}")
        return [_rules(measured), _dashboards(measured), _refresh()]


@contextmanager
def _watched(folder: Path) -> Iterator[Measured]:
    """Servers that read an empty ledger, and the environment for programs that write to it."""
    (folder / "ledger").mkdir()
    (folder / "servers").mkdir()
    statsd_exporter = StatsdExporter()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CATWALK_", "AIRFLOW_"))}
    own = {
        "CATWALK_STORE": (folder / "ledger").as_uri(),
        "CATWALK_STATSD": f"127.0.0.1:{statsd_exporter.port}",
        "CATWALK_SHIP": "1",
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
    }
    with mock.patch.dict(os.environ, {**kept, **own}, clear=True):
        measured = Measured(folder / "servers", statsd_exporter)
        try:
            yield measured
        finally:
            measured.stop()


def _train(folder: Path, say: Callable[[str], None]) -> None:
    for model in (*FOREIGN, *COPIES):
        origin = model.partition("-")[0]
        program = (PROJECT / "tests" / "models" / origin / "tracked.py").read_text()
        copy = folder / f"{model}.py"
        copy.write_text(program.replace(f'catwalk.run("{origin}"', f'catwalk.run("{model}"'))
        for arguments in (FOREIGN[origin], []):
            say(f"models: training {model} {' '.join(arguments)}")
            subprocess.run([sys.executable, copy, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    flags = [text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    for seed in ("1", "2"):
        command = [str(PROJECT / ".venv" / "bin" / "catwalk"), "run", CLASSIFIER.reference, *flags, "--seed", seed]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _rules(measured: Measured) -> Measurement:
    """Evaluates every group once, as if it were due."""
    found = []
    for _ in range(_ROUNDS):
        measured.settle()
        [(_, seconds)] = measured.prometheus.query("sum(prometheus_rule_group_last_duration_seconds)")
        found.append(1_000 * seconds)
    return Measurement(f"evaluation of all rules, {MODELS} models", found, " ms", "under 250")


def _dashboards(measured: Measured) -> Measurement:
    """Runs every query for every model, with all its runs selected."""
    runs: dict[str, list[str]] = {}
    for summary in Summaries(open_store()).read():
        runs.setdefault(summary.model, []).append(summary.run_id)
    found, now = [], time.time()
    for model, own in runs.items():
        every = f"({'|'.join(own)})"
        chosen = {
            "model": model,
            "run": own[-1],
            "runs": every,
            "recent": every,
            "newest": "10",
            "champion": own[0],
            "dag": ".*",
        }
        variables = {**chosen, "split": "validation", "metric": "accuracy", "statistic": ""}
        for query in all_queries():
            began = time.perf_counter()
            measured.ask(query, variables, 3_600, now)
            found.append(1_000 * (time.perf_counter() - began))
    p95 = sorted(found)[int(0.95 * len(found))]
    return Measurement(f"p95 of {len(found):,} queries of dashboards, {MODELS} models", [p95], " ms", "max 100")


def _refresh() -> Measurement:
    """Measures an exporter that has just started and reads everything."""
    found = []
    for _ in range(_ROUNDS):
        began, read = time.perf_counter(), [Snapshot()]
        LedgerReader(open_store()).read(time.time(), read.append)
        Exposition(Settings()).render(Facts(read[-1], True, {}, None, time.time()))
        found.append(time.perf_counter() - began)
    return Measurement(f"the exporter's refresh, {MODELS} models, nothing read before", found, " s", "max 2")

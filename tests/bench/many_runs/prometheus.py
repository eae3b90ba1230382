"""What many runs cost Prometheus: the evaluation of all rules, and every query of every dashboard over 90 days."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench.many_runs.history import DAY, DAYS, Past, champions
from tests.bench.many_runs.series import CHOSEN, RECENT, SAME_SHAPE
from tests.bench.many_runs.server import UNTOUCHED, backfill, serving
from tests.bench.many_runs.templates import STAGED
from tests.grafana.asking import ask
from tests.grafana.promql import Query, all_queries

_RULES, _MEMORY = "evaluation of all rules", "Prometheus' memory then"
_QUERIES = f"p95 of each dashboard query, {DAYS} days, {CHOSEN} runs selected"
PROMISES = {_RULES: (" ms", "at most 250"), _MEMORY: (" MiB", "-"), _QUERIES: (" ms", "each at most 100")}
"""What is measured → its unit, and the promise at 10,000 runs."""
_ROUNDS = {100: 5, 1_000: 5, 10_000: 20}
"""Size → how often each query is asked."""
_SHOWN = 12


def measure(
    folder: Path, runs: Sequence[Past], now: int, rounds: int, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Stores the history, and measures rules and queries in one Prometheus."""
    began = time.perf_counter()
    samples = backfill(folder, runs, now)
    say(f"  {samples:,} samples of {len(runs):,} runs stored in {time.perf_counter() - began:.0f} s")
    with serving(folder, runs, now) as server:
        rules = server.rules(rounds + 2, say)
        say(f"  rules: {statistics.median(rules):.0f} ms; asking each query {_ROUNDS[len(runs)]} times")
        memory = server.value('process_resident_memory_bytes{job="prometheus"}') / 2**20
        server.slow_down()
        times = {query.name: _p95(spent) for query, spent in _times(server.url, runs, now).items()}
    for name, spent in sorted(times.items(), key=lambda entry: -entry[1])[:_SHOWN]:
        say(f"    {spent:6.1f} ms  {name}")
    return {_RULES: rules, _MEMORY: [memory], _QUERIES: list(times.values())}


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _times(url: str, runs: Sequence[Past], now: int) -> dict[Query, list[float]]:
    """Returns the milliseconds of each query, from the request to the parsed answer."""
    variables = _variables(runs, now)
    found: dict[Query, list[float]] = {}
    for query in all_queries():
        own = {**variables, "recent": _either(runs, now, CHOSEN)} if query.dashboard == "catwalk-home" else variables
        stand_in, spent = replace(query, expr=_renamed(query.expr)), found.setdefault(query, [])
        for _ in range(_ROUNDS[len(runs)]):
            started = time.perf_counter()
            ask(url, stand_in, own, now, DAYS * DAY)
            spent.append(1_000 * (time.perf_counter() - started))
    return found


def _variables(runs: Sequence[Past], now: int) -> dict[str, str]:
    return {
        "model": STAGED,
        "run": _newest(runs, now, 1)[0],
        "runs": _either(runs, now, CHOSEN),
        "recent": _either(runs, now, RECENT),
        "newest": str(CHOSEN),
        "champion": champions(runs)[STAGED].run_id,
        "split": "validation",
        "metric": "accuracy",
        "statistic": "pixel_mean",
        "dag": "nightly",
    }


def _either(runs: Sequence[Past], now: int, count: int) -> str:
    return f"({'|'.join(_newest(runs, now, count))})"


def _newest(runs: Sequence[Past], now: int, count: int) -> list[str]:
    """Returns the newest runs of the classifier that are stored as a whole."""
    stored = [run for run in runs if run.template.summary.model == STAGED and run.ended < now - UNTOUCHED - 2 * 3_600]
    return [run.run_id for run in stored[-count:]]


def _renamed(expr: str) -> str:
    """Rewrites the query for the families that are stored."""
    for family, stored in SAME_SHAPE.items():
        expr = re.sub(rf"\b(?:{family})\b(?=[\s{{\[)]|$)", stored, expr)
    return expr

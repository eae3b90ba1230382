"""Models with names in any script, end to end: runs, ledger, wire, Prometheus, replay, commands."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator
from functools import partial
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import catwalk
from catwalk.ledger.models import watched
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Run
from catwalk.replay.openmetrics import openmetrics
from catwalk.replay.points import run_points
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from stack.parts.health import get
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores
from tests.grafana.measured import Measured
from tests.grafana.promql import all_queries
from tests.support.commands import command_line
from tests.support.points import of_ledger, of_prometheus
from tests.support.servers import StatsdExporter, wait_until

pytestmark = pytest.mark.integration

NAMES = ("Кредит", "需要予測", "größe v2", "churn (EU)", "C+D @home & more")
DRAWN = {"catwalk-home": 5, "catwalk-model": 5, "catwalk-run": 5, "catwalk-runs": 3}
"""Dashboard → panels that have at least one figure; a name that a query does not quote has none."""


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty ledger of either kind, which CATWALK_STORE names."""
    if request.param == "s3":
        found: Store = request.getfixturevalue("s3_store")
        return found
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    return open_store()


@pytest.fixture
def servers(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Measured]:
    (tmp_path / "servers").mkdir()
    started = Measured(tmp_path / "servers", StatsdExporter())
    monkeypatch.setenv("CATWALK_STATSD", f"127.0.0.1:{started.statsd_exporter.port}")
    monkeypatch.setenv("CATWALK_SHIP", "1")
    yield started
    started.stop()


def typed(name: str) -> str:
    """The same name from a keyboard that decomposes letters."""
    return unicodedata.normalize("NFD", name)


def trained(name: str) -> Run:
    limits = {"runs_blocked": 5.0, "log_loss": 9.0, "headline_regression_ratio": 0.25}
    with catwalk.run(typed(name), catwalk.Binary(), every="24h", thresholds=limits) as run:
        run.epoch(1, train={"loss": 0.5}, validation={"loss": 0.6})
        run.model(b"weights")
        run.test(LABELS, scores(), keys=KEYS)
    return Run(open_store(), run.run_id)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    return command_line(capfd, monkeypatch, tmp_path)


def test_a_model_has_one_name_on_every_path(store: Store, servers: Measured, command: Any) -> None:
    runs = {name: trained(name) for name in NAMES}
    assert {*watched.names(store)} == {*Champions(store).models()} == {*NAMES}
    for run in runs.values():
        _arrived(servers, run)
    for name, run in runs.items():
        _shown(servers, name, run)
    page = (get(f"http://127.0.0.1:{servers.exporter.port}/models") or b"").decode()
    for name, run in runs.items():
        _linked(servers, page, name, run)
        _asked(command, name, run)


def _arrived(servers: Measured, run: Run) -> None:
    """Checks that Prometheus has what the ledger has, and would get the same from a replay."""
    points = run_points(run)
    expected = of_ledger(points)
    assert expected
    wait_until(lambda: of_prometheus(servers.prometheus, run.run_id) == expected, f"the points of run {run.run_id}")
    families = text_string_to_metric_families(openmetrics(points, {}))
    samples = [sample for family in families for sample in family.samples]
    replayed = {frozenset({"__name__": sample.name, **sample.labels}.items()) for sample in samples}
    assert replayed == {*expected} and {sample.labels["model"] for sample in samples} == {run.record.model}


def _shown(servers: Measured, name: str, run: Run) -> None:
    """Checks that the exporter, rules and dashboards know it by its name."""
    ask = servers.prometheus.query
    for family, labels in (
        ("catwalk_model_version_info", {"role": "champion", "run_id": run.run_id}),
        ("catwalk_next_run_due_timestamp_seconds", {"schedule": "every 24 h"}),
        ("model:threshold:last", {"name": "runs_blocked"}),
        ("run:metric:last", {"run_id": run.run_id, "split": "test"}),
    ):
        chosen = ", ".join(f'{label}="{value}"' for label, value in {"model": name, **labels}.items())
        wait_until(lambda asked=f"{family}{{{chosen}}}": ask(asked), f"{family} of {name}")  # type: ignore[misc]
    evaluation = run.evaluation()
    assert evaluation
    tested = evaluation.scores["log_loss"]
    limits = {"ModelHeadlineRegressed": pytest.approx(1.25 * tested), "worst that may ship": 9.0}
    wait_until(lambda: _limits(servers, name, run) == limits, "limits are drawn")
    for dashboard, count in DRAWN.items():
        wait_until(partial(_drawn, servers, name, run, dashboard, count), f"{count} panels of {dashboard} have figures")


def _limits(servers: Measured, name: str, run: Run) -> dict[str, float]:
    """The dashed lines of the selected metric → their value."""
    [query] = [
        query
        for query in all_queries()
        if query.dashboard == "catwalk-model" and query.place.startswith("Metric of the test") and query.ref == "A"
    ]
    drawn = servers.ask(query, {"model": name, "metric": "log_loss", "recent": run.run_id}, 600, time.time())
    named = [series for series in drawn if series["metric"]["run"].strip()]  # the other one makes room on the axis
    values = {series["metric"]["series"]: float(series["value"][1]) for series in named}
    return {limit: value for limit, value in values.items() if limit not in ("test", "champion")}


def _drawn(servers: Measured, name: str, run: Run, dashboard: str, count: int) -> bool:
    """Whether at least `count` panels of a dashboard have a figure."""
    variables = {"model": name, "metric": "log_loss", "split": "test", "statistic": "", "dag": ".*", "newest": "10"}
    variables |= dict.fromkeys(("run", "runs", "recent", "champion"), run.run_id)
    asked = (query for query in all_queries() if query.dashboard == dashboard and "$model" in query.expr)
    found = (query for query in asked if servers.ask(query, variables, 600, time.time()))
    return len([*islice(found, count)]) == count


def _linked(servers: Measured, page: str, name: str, run: Run) -> None:
    """Checks that the run's page links to its model's card."""
    of_run = (get(f"http://127.0.0.1:{servers.exporter.port}/runs/{run.run_id}") or b"").decode()
    anchor = of_run.partition('href="/models#')[2].partition('"')[0]
    assert unquote(anchor) == f"model-{name}" and f'id="{anchor}">{name}<' in unescape(page)


def _asked(command: Any, name: str, run: Run) -> None:
    """Checks that users find it by what they type, and can rename it."""
    (row,) = command("runs", "--model", typed(name), "--json").json()
    assert (row["model"], row["run_id"]) == (name, run.run_id)
    assert run.run_id in command("show", "champion", "--model", typed(name)).out
    (listed,) = [row for row in command("models", "--json").json() if row["model"] == name]
    assert (listed["champion"], listed["state"]) == (run.run_id, "in use")
    retired = command("models", "retire", typed(name))
    assert (retired.code, retired.err) == (0, "") and name in retired.out
    renamed = command("models", "rename", typed(name), typed(f"{name} 2"))
    assert (renamed.code, renamed.err) == (0, "")
    found = Champions(run.store).get(name)
    assert found and (found[0].model, found[0].run_id) == (f"{name} 2", run.run_id)

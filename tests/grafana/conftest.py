"""Two real runs in real servers, and what every query of every dashboard answers then."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from catwalk.clients import access
from catwalk.ledger.runs import Run
from tests.conftest import RunningStack, wait_until
from tests.grafana.asking import ask
from tests.grafana.promql import Query, all_queries
from tests.integration.conftest import finish, start_run
from tests.integration.faults import points_are_due
from tests.support.small import SMALL

EPOCHS = (12, 4)
"""Of the champion and of the challenger: curves of unequal length, and epochs that text would sort 1, 10, 11, 12, 2."""
RANGE_SECONDS = 3_600


@dataclass
class Fed:
    """What Prometheus answered after two runs."""

    champion: Run
    challenger: Run
    variables: dict[str, str]
    answers: dict[Query, Any] = field(default_factory=dict)


@pytest.fixture(scope="session")
def fed(services: RunningStack) -> Iterator[Fed]:
    """Runs twice, waits until Prometheus knows it all, and asks every query once."""
    with services.as_environment():
        runs = []
        for epochs in EPOCHS:
            run, process = start_run(services, {**SMALL, "epochs": epochs})
            finish(process)
            runs.append(run)
        points_are_due(runs[1])
        variables = {
            "model": runs[0].record.model,
            "run": runs[1].run_id,
            "runs": f"({runs[0].run_id}|{runs[1].run_id})",
            "champion": runs[0].run_id,
            "split": "validation",
            "recent": f"({runs[0].run_id}|{runs[1].run_id})",
            "dag": ".*",
        }
        found = Fed(runs[0], runs[1], variables)
        wait_until(lambda: expected(services, runs[1]), "the second run's points are counted")
        counted = time.time()
        wait_until(lambda: all_evaluated(services, counted), "the rules were evaluated since")
        url, now = services.settings.url("prometheus"), time.time()
        for query in all_queries():
            found.answers[query] = ask(url, query, variables, now, RANGE_SECONDS, scrape=1)
        yield found


def all_evaluated(services: RunningStack, since: float) -> bool:
    """Whether each group of rules of an interval of a minute or less was evaluated after a time."""
    url = f"{services.settings.url('prometheus')}/api/v1/rules"
    groups = json.loads(access.fetch(url, timeout=30))["data"]["groups"]
    last = [datetime.fromisoformat(group["lastEvaluation"]) for group in groups if group["interval"] <= 60]
    return all(evaluated.timestamp() > since for evaluated in last)


def expected(services: RunningStack, run: Run) -> bool:
    """Whether the rules have compared the run's points with what is stored, and the last of them is."""
    counted = services.query(f'run:points_missing:count{{run_id="{run.run_id}"}} == 0')
    last = services.query(f'last_over_time(ml_stage_duration_seconds{{run_id="{run.run_id}", stage="publish"}}[1h])')
    return bool(counted and last)

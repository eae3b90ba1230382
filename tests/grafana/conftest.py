"""Two real runs of each of two models in real servers, and what every query of every dashboard answers then."""

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
from tests.integration.conftest import finish, start_run, start_shapes
from tests.integration.faults import points_are_due
from tests.support.small import SMALL

EPOCHS = (12, 4)
"""Epochs of champion and challenger: curves of unequal length, and numbers that text would sort 1, 10, 11, 12, 2."""
ROUNDS = (12, 5)
"""The same for the second model."""
RANGE_SECONDS = 3_600


@dataclass
class Fed:
    """What Prometheus answered after two runs of a model."""

    champion: Run
    challenger: Run
    answers: dict[Query, Any] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """The variables of someone who has selected this model and its newer run."""
        known = self.champion.dataset()
        assert known
        runs = f"({self.champion.run_id}|{self.challenger.run_id})"
        return {
            "model": self.champion.record.model,
            "run": self.challenger.run_id,
            "runs": runs,
            "champion": self.champion.run_id,
            "split": "validation",
            "metric": "accuracy",
            "statistic": min(known.statistics),
            "recent": runs,
            "dag": ".*",
            "newest": "10",
        }


@pytest.fixture(scope="session")
def two_models(services: RunningStack) -> Iterator[tuple[Fed, Fed]]:
    """Runs each model twice, waits until Prometheus knows it all, and asks every query once of each."""
    with services.as_environment():
        runs: tuple[list[Run], list[Run]] = [], []
        for epochs, rounds in zip(EPOCHS, ROUNDS, strict=True):
            started = start_run(services, {**SMALL, "epochs": epochs}), start_shapes(services, rounds=rounds)
            for of_model, (run, process) in zip(runs, started, strict=True):
                finish(process)
                of_model.append(run)
        found = Fed(*runs[0]), Fed(*runs[1])
        for fed in found:
            points_are_due(fed.challenger)
        for fed in found:
            wait_until(lambda fed=fed: expected(services, fed.challenger), "the second run's points are counted")
        counted = time.time()
        wait_until(lambda: all_evaluated(services, counted), "the rules were evaluated since")
        url, now = services.settings.url("prometheus"), time.time()
        for fed in found:
            for query in all_queries():
                fed.answers[query] = ask(url, query, fed.variables, now, RANGE_SECONDS, scrape=1)
        yield found


@pytest.fixture(scope="session")
def fed(two_models: tuple[Fed, Fed]) -> Fed:
    """The model that comes with Catwalk."""
    return two_models[0]


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

"""A part of the containers is away for half a minute while a model trains, or comes back at another address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from catwalk.clients.airflow_api import AirflowError
from stack.parts import health
from tests.containers.composed import TAG, ComposedStack
from tests.containers.test_runs import LONG, PATIENCE, SHORT
from tests.integration.conftest import DagRun, assert_all_stored, trigger
from tests.support.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.containers, pytest.mark.timeout(3600)]

OUTAGE = 30.0
"""Seconds."""
Says = Callable[[ComposedStack, DagRun, float], object]


@contextmanager
def outage(stack: ComposedStack, part: str) -> Iterator[float]:
    """A container that is stopped for as long as the block takes, and half a minute at least; gives since when."""
    began = time.time()  # the first to notice do so before the command that stops it has returned
    stack.compose("stop", part)
    stopped = time.time()
    try:
        yield began
        time.sleep(max(0.0, stopped + OUTAGE - time.time()))
    finally:
        stack.start(part)


def scrapes_fail(stack: ComposedStack, _: DagRun, began: float) -> object:
    return stack.query("up{job='statsd_exporter'} == 0")


def metadatabase_is_ill(stack: ComposedStack, _: DagRun, began: float) -> object:
    return not health.airflow_says(stack.settings, "metadatabase")()


def logged(service: str, text: str) -> Says:
    """Whether a service's containers say something from when the outage began."""
    return lambda stack, _, began: text in stack.said(service, began)


def doctor_fails(part: str) -> Says:
    def fails(stack: ComposedStack, _: DagRun, began: float) -> object:
        return f"FAIL {part} " in stack.catwalk("doctor").stdout

    return fails


SAYS: dict[str, Says] = {
    "statsd-exporter": scrapes_fail,
    "versitygw": doctor_fails("store"),
    "redis": logged("airflow-worker", "Connection to broker lost"),
    "postgres": metadatabase_is_ill,
    "prometheus": doctor_fails("prometheus"),
}
"""Part → what says that it is away."""
OUTLASTING = {**LONG, "train_examples": 20_000, "epochs": 12}
"""A training that outlasts the outage, slow as it is then. What a run's last stage sends to a statsd_exporter that is
away is lost until `catwalk replay`."""


@pytest.mark.parametrize("part", SAYS)
def test_half_a_minute_without_a_part_costs_a_training_nothing(stack: ComposedStack, part: str) -> None:
    dag_run = trigger(stack, OUTLASTING)
    wait_until(lambda: dag_run.epochs(1) >= 1, "an epoch", PATIENCE)
    with slow_workers(stack), outage(stack, part) as began:
        wait_until(lambda: SAYS[part](stack, dag_run, began), f"something says that {part} is away", PATIENCE)
    assert dag_run.epochs(1) < OUTLASTING["epochs"], "the training outlasts the outage"
    wait_until(lambda: ended(dag_run), "the end", PATIENCE)
    assert dag_run.state() == "success", dag_run.states()
    assert_all_stored(stack, stack.ledger.run(dag_run.run.run_id))
    for service in ("airflow-worker", "airflow-scheduler", "airflow-api-server", "exporter"):
        wait_until(lambda service=service: stack.healthy(service), f"{service} is well", PATIENCE)  # type: ignore[misc]


@contextmanager
def slow_workers(stack: ComposedStack) -> Iterator[None]:
    """Workers with a fifth of a core: what they train takes its time, and little from other tests."""
    workers = [one["Id"] for one in stack.containers("airflow-worker")]
    stack.engine.run("update", "--cpu-period=100000", "--cpu-quota=20000", *workers)
    try:
        yield
    finally:
        stack.engine.run("update", "--cpu-quota=-1", *workers)


def ended(dag_run: DagRun) -> bool:
    """Whether Airflow says so; while it has no database it says nothing."""
    try:
        return dag_run.state() in ("success", "failed")
    except AirflowError:
        return False


def test_metrics_go_on_when_statsd_exporter_comes_back_at_another_address(stack: ComposedStack) -> None:
    with moved(stack, "statsd-exporter"):
        for component in ("scheduler", "dag_processor", "triggerer"):
            beats = f"airflow_{component}_heartbeat_total > 0"
            wait_until(lambda beats=beats: stack.query(beats), f"heartbeats of the {component}", PATIENCE)  # type: ignore[misc]
        dag_run = trigger(stack, SHORT)
        dag_run.wait("success", PATIENCE)
        assert_all_stored(stack, dag_run.run)


@contextmanager
def moved(stack: ComposedStack, part: str) -> Iterator[None]:
    """A part whose container was recreated while other containers took its address."""
    before, others = stack.address(part, "back"), []
    squatter = ["--detach", "--rm", "--network", f"{stack.project}_back", f"catwalk:{TAG}", "sleep", "3600"]
    try:
        for _ in range(5):
            stack.compose("rm", "--stop", "--force", part)
            others.append(stack.engine.run("run", *squatter).strip())
            stack.up(part)
            if stack.address(part, "back") != before:
                break
        assert stack.address(part, "back") != before
        yield
    finally:
        for other in others:
            stack.engine.run("kill", other)

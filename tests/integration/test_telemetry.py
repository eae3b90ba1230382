"""What a run sends arrives: every point, with its value, whatever happens on the way; and missing points are
detected.
"""

from __future__ import annotations

from contextlib import closing

import pytest
import torch

from catwalk.ledger.records.run import STAGES
from catwalk.ledger.runs import Run
from catwalk.replay.points import run_points
from catwalk.stages.publish import publish
from catwalk.telemetry.emitter import gauge, observer_from_environment
from catwalk.telemetry.points import Point, series_budget
from catwalk.telemetry.wire.address import Address
from catwalk.telemetry.wire.client import TcpClient
from tests.conftest import RunningStack, wait_until
from tests.integration.conftest import (
    assert_all_stored,
    finish,
    in_exporter,
    missing,
    small_run,
    start_run,
    start_slow,
    stored,
)
from tests.integration.faults import points_are_due
from tests.support.points import of_ledger, of_prometheus
from tests.support.small import SLOW, SMALL

pytestmark = pytest.mark.integration


def test_every_point_of_a_run_is_in_prometheus_with_the_ledgers_value(services: RunningStack) -> None:
    run = small_run(services)
    of_cards = 0 if torch.cuda.is_available() else 2 * len(STAGES)
    assert assert_all_stored(services, run) == series_budget(SMALL["epochs"], 10) - of_cards
    wait_until(lambda: in_exporter(services, run, "succeeded"), "the exporter shows the run's end")


def test_the_completeness_query_finds_a_point_that_was_held_back(services: RunningStack) -> None:
    run = small_run(services, CATWALK_STATSD="")
    points = run_points(run)
    assert of_prometheus(services, run.run_id) == {}
    held_back = next(point for point in points if point.labels.get("epoch") == "3")
    send(services, [point for point in points if point != held_back])
    wait_until(lambda: stored(services, run) == len(points) - 1, "all but one")
    points_are_due(run)
    wait_until(lambda: missing(services, run) == [1.0], "the exporter's count is one more than what is stored")
    send(services, [held_back])
    wait_until(lambda: missing(services, run) == [0.0], "nothing is missing any more")
    assert of_prometheus(services, run.run_id) == of_ledger(points)


def test_points_sent_while_the_exporter_was_down_are_restored_by_publish(services: RunningStack) -> None:
    run, process = start_slow(services, SLOW)
    try:
        wait_until(lambda: epochs(run) >= 2, "two epochs")
        services.stop("statsd_exporter")
        silent_from = epochs(run) + 2  # one may have been sent that the ledger does not have yet
        wait_until(lambda: epochs(run) > silent_from, "epochs that no one receives")
        services.start("statsd_exporter")
        lost = f'last_over_time(ml_epoch_index{{run_id="{run.run_id}", epoch="{silent_from}"}}[1d])'
        assert services.query(lost) == []
        finish(process)
    finally:
        process.kill()
        services.start("statsd_exporter")
    assert_all_stored(services, run)
    summary = run.summary()
    assert summary is not None
    assert summary.points_dropped > 0, "points that could not be sent are counted"


def test_two_runs_at_once_keep_their_points_apart(services: RunningStack) -> None:
    started = [start_run(services, {**SMALL, "seed": seed}) for seed in (1, 2)]
    for _, process in started:
        finish(process)
    for run, _ in started:
        assert_all_stored(services, run)
    models = {run.evaluation().model_sha256 for run, _ in started if run.evaluation()}  # type: ignore[union-attr]
    assert len(models) == 2


def test_publishing_again_changes_no_value_but_its_own(services: RunningStack) -> None:
    run = small_run(services)
    assert_all_stored(services, run)
    before = of_prometheus(services, run.run_id)
    observer = observer_from_environment()
    publish(run, observer)
    assert_all_stored(services, run)
    after = of_prometheus(services, run.run_id)
    changed = {dict(series).get("stage") for series in after if after[series] != before[series]}
    assert after.keys() == before.keys()
    assert changed <= {"publish"}


def epochs(run: Run) -> int:
    training = run.training()
    return len(training.epochs) if training else 0


def send(services: RunningStack, points: list[Point]) -> None:
    """Sends selected points, as a re-send would send all."""
    address = Address.parse(services.environment["CATWALK_STATSD"], "CATWALK_STATSD")
    found = address.find()
    assert found is not None
    with closing(TcpClient(found, address.port, 10.0)) as client:
        with client.pipeline() as pipeline:
            for point in points:
                pipeline.gauge(*gauge(point))
        client.confirm()

"""At its end, a run sends its points again; errors in that step are counted and stop nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from catwalk.errors import StoreUnavailableError
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.replay.points import run_points
from catwalk.replay.resend import Sent, send_again
from catwalk.replay.room import KEY, take_again, with_room
from catwalk.telemetry.budget import RUNS_SHARE
from catwalk.telemetry.observer import Silent
from catwalk.telemetry.points import Point


class Listener(Silent):
    """Takes all points except those that are not numbers, and has lost two before."""

    sends = True

    def __init__(self) -> None:
        self.sent: list[Point] = []
        self._dropped = 2

    def resend(self, points: Sequence[Point]) -> int:
        self.sent = [point for point in points if not math.isnan(point.value)]
        self._dropped += len(points) - len(self.sent)
        return len(self.sent)

    def take_dropped(self) -> int:
        dropped, self._dropped = self._dropped, 0
        return dropped


def test_every_point_of_the_ledger_is_sent_and_losses_are_counted(make_run: Any, make_epoch: Any) -> None:
    run, listener = make_run(2), Listener()
    run.training().epochs[1] = make_epoch(2, train_loss=math.nan)
    points = run_points(run)
    assert send_again(run, listener, ended=True) == Sent(len(points) - 1, 2 + 1)
    assert listener.sent == [point for point in points if not math.isnan(point.value)]
    assert run.store.find(KEY), "from now on, what statsd_exporter holds keeps its room"


def test_a_ledger_that_cannot_be_read_stops_nothing(make_run: Any, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[AttemptRecord]:
        raise StoreUnavailableError("S3 does not answer")

    run, listener = make_run(), Listener()
    run.attempts = broken
    assert send_again(run, listener, ended=True) == Sent(0, 2 + 1)
    assert caplog.messages == ["can't resend points: S3 does not answer"]


def test_points_without_room_are_not_sent_and_count_as_lost(
    make_run: Any, run_record: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run, listener = make_run(), Listener()
    assert take_again(run.store, replace(run_record, run_id="20261123T030000Z-00000001"), RUNS_SHARE)
    assert send_again(run, listener, ended=True) == Sent(0, 2 + len(run_points(run)))
    assert listener.sent == []
    assert "other runs use all the series" in caplog.text


@pytest.mark.parametrize("said", [{}, {"epochs": 4}])
def test_a_run_that_trains_longer_than_announced_reports_what_is_left_out(make_run: Any, said: dict[str, int]) -> None:
    run = make_run(300)
    opened = with_room(run.store, replace(run.record, config=said), [said.get("epochs", 0)])
    assert opened.series_left_out == 0
    run.record = opened
    shown = len(run_points(run))
    assert shown <= (opened.series_budget or 0)
    assert send_again(run, Listener(), ended=True).left_out == 158 + 19 * 300 - shown > 0


def test_without_telemetry_nothing_is_read_and_no_room_is_taken(make_run: Any) -> None:
    run = make_run()
    run.training = run.evaluation = run.attempts = None  # asked for points, it would raise
    assert send_again(run, Silent(), ended=True) == Sent(0, 0)
    assert run.store.find(KEY) is None

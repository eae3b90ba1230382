"""Runs that log to a real S3, which goes away, and a killed run that another process continues."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import catwalk
from catwalk.errors import StoreUnavailableError
from catwalk.ledger.runs import Ledger
from catwalk.storage.opening import open_store
from catwalk.telemetry.observer import Silent
from catwalk.tracking import closing
from tests.catwalk.tracking.conftest import KEYS, LABELS, Program, only, scores
from tests.support.servers import ENVIRONMENT, S3Server, wait_until

pytestmark = pytest.mark.integration

LOGS = """
import catwalk, time
run = catwalk.run("churn", catwalk.Binary(), run_key="tonight")
run.epoch(1, train={"loss": 1.0})
run.epoch(2, train={"loss": 0.5})
run.model(b"weights")
print("stored", flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server of its own, with a bucket that CATWALK_STORE names."""
    (tmp_path / "s3").mkdir()
    server = S3Server(tmp_path / "s3")
    server.start()
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CATWALK_STORE", f"s3://{server.bucket()}")
    yield server
    server.stop()


def test_a_killed_run_is_continued(server: S3Server, program: Program) -> None:
    first = program(LOGS)
    assert first.stdout and first.stdout.readline() == "stored\n"
    first.kill()
    first.wait()
    with catwalk.run("churn", catwalk.Binary(), run_key="tonight") as run:
        assert run.resume() == 2
        run.epoch(3, train={"loss": 0.3})
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
    stored = only(Ledger(open_store()))
    assert [epoch.epoch for epoch in stored.training().epochs] == [1, 2, 3]
    assert [attempt.outcome for attempt in stored.attempts()] == [None, "succeeded"]
    assert stored.summary().state == "succeeded" and run.decision


def test_an_s3_that_goes_away_stops_no_epoch(server: S3Server) -> None:
    run = catwalk.run("churn", catwalk.Binary(), close_timeout=1)
    run.epoch(1, train={"loss": 1.0})
    stored = only(Ledger(open_store()))
    wait_until(lambda: stored.summary().epochs == 1)
    server.stop()
    started = time.perf_counter()
    for number in range(2, 101):
        run.epoch(number, train={"loss": 1.0})
    assert time.perf_counter() - started < 5
    with pytest.raises(StoreUnavailableError, match=r"`catwalk finish .*` completes it"):
        run.close()
    server.start()
    assert closing.finish(stored, Silent()).state == "untested"


def test_an_s3_that_is_not_there_is_reported_when_a_run_opens(server: S3Server) -> None:
    server.stop()
    with pytest.raises(StoreUnavailableError):
        catwalk.run("churn", catwalk.Binary())
    server.start()
    catwalk.run("churn", catwalk.Binary()).close()

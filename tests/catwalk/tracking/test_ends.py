"""How a run ends: successfully, by an error, by hand, silently, while the store or the exporter is down."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import catwalk
from catwalk.codec import from_json
from catwalk.environment.heartbeats import Heartbeats
from catwalk.errors import CatwalkError, StoreUnavailableError
from catwalk.ledger.runs import Ledger, touched
from catwalk.ledger.summaries import shown_state
from catwalk.replay import room
from catwalk.storage.file_store import FileStore
from catwalk.telemetry.budget import OPEN_SECONDS, SENT_SECONDS, Parts
from catwalk.telemetry.observer import Silent
from catwalk.tracking import closing, journal
from stack.ports import free_port
from tests.catwalk.tracking.conftest import KEYS, LABELS, Program, only, scores
from tests.support.servers import wait_until


def _ended_by(error: BaseException, run_key: str = "", test: bool = False) -> None:
    with catwalk.run("churn", catwalk.Binary(), run_key=run_key, close_timeout=0.5) as run:
        run.epoch(1, train={"loss": 1.0})
        if test:
            run.model(b"m")
            run.test(LABELS, scores(), keys=KEYS)
        raise error


def _out(*arguments: Any, **options: Any) -> str:
    raise StoreUnavailableError("the store is out")


@pytest.mark.parametrize(
    ("error", "state", "outcome"),
    [
        (ValueError("too deep"), "failed", "failed"),
        (KeyboardInterrupt(), "cancelled", "cancelled"),
        (SystemExit(3), "failed", "failed"),
        (SystemExit(0), "untested", "succeeded"),
    ],
)
def test_an_error_ends_the_run_and_propagates(ledger: Ledger, error: BaseException, state: str, outcome: str) -> None:
    with pytest.raises(type(error)) as raised:
        _ended_by(error)
    assert raised.value is error
    summary, (attempt,) = only(ledger).summary(), only(ledger).attempts()
    assert (summary.state, attempt.outcome, summary.epochs) == (state, outcome, 1)
    if isinstance(error, ValueError):
        assert summary.error == attempt.error == "ValueError: too deep"
    catwalk.run("churn", catwalk.Binary()).close()  # the model is free again


def test_a_silent_run_is_lost_and_the_next_one_closes_it(ledger: Ledger, program: Program) -> None:
    killed = program("import catwalk, os; catwalk.run('churn', catwalk.Binary()); os._exit(9)")
    assert killed.wait(timeout=60) == 9
    run = only(ledger)
    assert shown_state(run.summary(), time.time(), 600) == "running"
    run.update_summary(lambda summary: replace(summary, updated=summary.updated - 2 * Heartbeats().lost_after_seconds))
    assert shown_state(run.summary(), time.time(), 600) == "lost"
    catwalk.run("other", catwalk.Binary()).close()
    assert run.summary().state == "running"
    ledger.store.put(run.key("report.html"), b"of an earlier attempt that failed")
    catwalk.run("churn", catwalk.Binary()).close()
    summary = run.summary()
    assert summary.state == "lost" and "silent since" in summary.error and summary.finished < summary.updated
    assert ledger.store.find(run.key("report.html")) is None


def test_a_lost_run_releases_its_room_in_prometheus_once_its_points_have_expired(
    ledger: Ledger, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_STATSD", f"127.0.0.1:{free_port()}")
    killed = program("import catwalk, os; catwalk.run('churn', catwalk.Binary()); os._exit(9)")
    assert killed.wait(timeout=60) == 9
    run, seen = only(ledger), time.time() - 2 * Heartbeats().lost_after_seconds

    def held_until() -> float:
        return from_json(Parts, ledger.store.get(room.KEY).body).held[run.run_id].until

    assert held_until() > time.time() + OPEN_SECONDS / 2
    run.update_summary(lambda summary: replace(summary, updated=seen))
    catwalk.run("churn", catwalk.Binary()).close()
    assert run.summary().state == "lost"
    assert held_until() == seen + SENT_SECONDS


def test_a_heartbeat_keeps_a_run_alive(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 0.05)
    monkeypatch.setenv("CATWALK_RUN_HEARTBEAT_SECONDS", "0.05")
    run = catwalk.run("churn", catwalk.Binary())
    run.epoch(1, train={"loss": 1.0})
    stored = only(ledger)
    wait_until(lambda: stored.summary().epochs == 1)
    before = stored.summary().updated
    wait_until(lambda: stored.summary().updated > before)
    run.close()


def test_a_dead_store_stops_no_epoch_and_close_says_what_to_do(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 0.05)
    run = catwalk.run("churn", catwalk.Binary(), close_timeout=0.5)
    put = FileStore.put
    monkeypatch.setattr(FileStore, "put", _out)
    started = time.perf_counter()
    for epoch in range(1, 201):
        run.epoch(epoch, train={"loss": 1.0})
        run.log(rate=1.0)
    assert time.perf_counter() - started < 5
    wait_until(lambda: "is kept, and the write is retried" in caplog.text)
    with pytest.raises(StoreUnavailableError, match="the model is not stored"):
        run.model(b"m")
    with pytest.raises(StoreUnavailableError, match=r"`catwalk finish .*` completes it"):
        run.close()
    monkeypatch.setattr(FileStore, "put", put)
    assert closing.finish(only(ledger), Silent()).state == "untested"


def test_a_store_that_hangs_keeps_no_epoch_waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 0.05)
    answers, hangs, put = threading.Event(), threading.Event(), FileStore.put

    def hanging(*arguments: Any, **options: Any) -> str:
        hangs.set()
        assert answers.wait(120)
        return put(*arguments, **options)

    run = catwalk.run("churn", catwalk.Binary(), close_timeout=0.5)
    monkeypatch.setattr(FileStore, "put", hanging)
    run.epoch(1, train={"loss": 1.0})
    assert hangs.wait(60)
    for epoch in range(2, 201):
        run.epoch(epoch, train={"loss": 1.0})
        run.log(rate=1.0)
    assert not answers.is_set()
    for stores, what in ((lambda: run.model(b"m"), "model"), (lambda: run.test(LABELS, scores()), "test")):
        with pytest.raises(StoreUnavailableError, match=rf"could not be written; the {what} is not stored: call run"):
            stores()
    answers.set()
    run.close()
    assert len(only(ledger).training().epochs) == 200


@pytest.mark.parametrize("failing", ["model/1/model.bin", "model.json", "outcome.safetensors", "evaluation.json"])
def test_model_and_test_retry_and_say_what_is_not_stored(
    failing: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, left = FileStore.put, [1]

    def failed(store: FileStore, key: str, *arguments: Any, **options: Any) -> str:
        if key.endswith(f"/{failing}") and left[0]:
            left[0] -= 1
            raise StoreUnavailableError("the store is out")
        return put(store, key, *arguments, **options)

    monkeypatch.setattr(FileStore, "put", failed)
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
    assert left == [0] and run.decision and run.decision.decision == "would_ship"
    left[0] = 10_000
    run = catwalk.run("churn", catwalk.Binary(), close_timeout=0.5)
    run.epoch(1, train={"loss": 1.0})
    steps = {"model": lambda: run.model(b"m"), "test": lambda: run.test(LABELS, scores(), keys=KEYS)}
    what = "model" if failing.startswith("model") else "test"
    told = rf"^the store is out; the {what} is not stored: call run\.{what}.* again; stored so far: 1 epoch; "
    with pytest.raises(StoreUnavailableError, match=rf"{told}`catwalk finish {run.run_id}` ends the run with that$"):
        steps[what]()
    left[0] = 0
    for step in steps.values():
        step()
    run.close()
    assert run.decision and run.decision.decision == "would_ship"


def test_close_lists_everything_that_is_stored_while_nothing_can_be_read(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = catwalk.run("churn", catwalk.Binary(), close_timeout=0.5)
    run.epoch(1, train={"loss": 1.0})
    run.epoch(2, train={"loss": 0.5})
    run.model(b"m")
    run.test(LABELS, scores(), keys=KEYS)
    with monkeypatch.context() as outage:
        for request in ("put", "_fetch", "etag"):
            outage.setattr(FileStore, request, _out)
        told = rf"stored so far: 2 epochs, the model and the test; `catwalk finish {run.run_id}` completes it$"
        with pytest.raises(StoreUnavailableError, match=told):
            run.close()
    assert closing.finish(only(ledger), Silent()).decision == "would_ship"


def test_the_report_of_an_earlier_attempt_is_removed_when_the_run_has_ended_again(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="too deep"):
        _ended_by(ValueError("too deep"), run_key="nightly")
    run = only(ledger)
    run.store.put(run.key("report.html"), b"of the attempt that failed")
    with catwalk.run("churn", catwalk.Binary(), run_key="nightly"):
        pass
    assert only(ledger).summary().state == "untested"
    assert run.store.etag(run.key("report.html")) is None


def test_all_epochs_are_stored_when_the_store_recovers(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 0.05)
    put = FileStore.put
    with catwalk.run("churn", catwalk.Binary()) as run:
        with monkeypatch.context() as patch:
            patch.setattr(FileStore, "put", _out)
            for epoch in range(1, 6):
                run.epoch(epoch, train={"loss": 1.0})
        assert FileStore.put is put
        wait_until(lambda: len(only(ledger).training().epochs) == 5)


def test_the_callers_own_error_takes_precedence_over_a_dead_store(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = catwalk.run("churn", catwalk.Binary(), close_timeout=0.5)
    monkeypatch.setattr(FileStore, "put", _out)
    mine = ValueError("mine")
    assert run.__exit__(ValueError, mine, None) is None  # so it propagates
    assert "could not store the end of run" in caplog.text


def test_a_dead_exporter_stops_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_STATSD", f"127.0.0.1:{free_port()}")
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.epoch(1, train={"loss": 1.0})
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
    assert run.decision and only(ledger).summary().points_dropped > 0


def test_a_name_server_that_hangs_keeps_no_epoch_waiting(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, asked = threading.Event(), threading.Event()

    def hanging(*arguments: Any, **options: Any) -> Any:
        asked.set()
        assert answers.wait(300)
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setenv("CATWALK_STATSD", "exporter.invalid:9125")
    with catwalk.run("churn", catwalk.Binary()) as run:
        for epoch in range(1, 201):
            run.epoch(epoch, train={"loss": 1.0})
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
    assert asked.is_set() and not answers.is_set()
    answers.set()
    assert run.decision and only(ledger).summary().points_dropped > 200


def test_a_run_that_was_tested_and_never_closed_can_be_finished(ledger: Ledger, program: Program) -> None:
    code = (
        "import catwalk, os; from tests.catwalk.tracking.conftest import *; "
        "run = catwalk.run('churn', catwalk.Binary()); run.model(b'm'); run.test(LABELS, scores(), keys=KEYS); "
        "os._exit(9)"
    )
    killed = program(code, CATWALK_SHIP="1")
    assert killed.wait(timeout=60) == 9
    run = only(ledger)
    assert run.decision() is None
    summary = closing.finish(run, Silent())
    assert (summary.state, summary.decision) == ("succeeded", "ship")
    assert closing.finish(run, Silent()).decided == summary.decided


def test_a_run_of_the_stages_is_not_finished_by_hand(ledger: Ledger) -> None:
    run = catwalk.run("churn", catwalk.Binary())
    run.close()
    stored = only(ledger)
    stored.record = replace(stored.record, problem={})
    with pytest.raises(CatwalkError, match="started by the stages"):
        closing.finish(stored, Silent())


def test_a_decision_is_never_about_the_test_of_an_earlier_attempt(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="spoilt"):
        _ended_by(ValueError("spoilt"), run_key="k", test=True)
    assert only(ledger).evaluation()
    with catwalk.run("churn", catwalk.Binary(), run_key="k") as run:
        run.epoch(1, train={"loss": 1.0})
    assert run.decision is None and only(ledger).summary().state == "untested"
    assert only(ledger).evaluation() is None  # nor will `catwalk finish`


def test_a_summarys_time_never_goes_back(ledger: Ledger) -> None:
    catwalk.run("churn", catwalk.Binary()).close()
    summary = only(ledger).summary()
    assert touched(summary, summary.updated - 5).updated == summary.updated


def test_without_a_store_runs_are_kept_here_and_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CATWALK_STORE")
    monkeypatch.chdir(tmp_path)
    catwalk.run("churn", catwalk.Binary()).close()
    assert list((tmp_path / ".catwalk-ledger" / "runs").iterdir())
    told = capfd.readouterr().err
    assert told.count("\n") == 1 and ".catwalk-ledger" in told

"""Before a model ships it is asked in a real server process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.numpy import load, save

from catwalk import extras
from catwalk.errors import TransientError
from catwalk.gate.served import serves
from catwalk.ledger.models.champion import in_service
from catwalk.ledger.records.decision import CheckRecord, DecisionRecord
from catwalk.ledger.records.run import STAGES
from catwalk.ledger.runs import Ledger, Run, new_run_id
from catwalk.serving.candidate import _answer, _server
from catwalk.stages.decide import decide
from catwalk.stages.lifecycle.opening import open_run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.storage.opening import open_store
from catwalk.telemetry.observer import Silent
from catwalk.trainable import Trainable
from stack.settings import PROJECT
from tests.models.chatty import CHATTY
from tests.models.shapes import SHAPES
from tests.support.commands import unset_settings
from tests.support.servers import PATIENCE, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger in a folder."""
    unset_settings(monkeypatch)
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    return Ledger(open_store())


def candidate(ledger: Ledger, trainable: Trainable = SHAPES, **knobs: Any) -> Run:
    """A run that would ship."""
    config = trainable.config.from_flat({"accuracy_floor": 0.2, "recall_floor": 0.0, "calibration_cap": 1.0, **knobs})
    run = open_run(ledger, new_run_id(), trainable, config, "cli")
    for stage in STAGES[:3]:
        STAGE_FUNCTIONS[stage](run, Silent())
    return run


def decision(run: Run) -> tuple[DecisionRecord, CheckRecord | None]:
    decide(run, Silent())
    found = run.decision()
    assert found
    return found, next((check for check in found.checks if check.check == "serves"), None)


def test_one_that_answers_as_in_its_test_ships_and_the_figures_are_kept(ledger: Ledger) -> None:
    run = candidate(ledger)
    found, check = decision(run)
    assert check and check.verdict == "passed", found
    assert "gives the same answer as in its test to 150 of 150 examples" in check.sentence
    assert check.value and 0 < check.value < 1
    assert (found.decision, found.reason) == ("ship", "first") and in_service(run)


def test_one_that_answers_otherwise_is_held(ledger: Ledger) -> None:
    run = candidate(ledger)
    key = run.key("predictions.safetensors")
    stored = load(run.store.get(key).body)
    stored["logits"][:20] = stored["logits"][:20, ::-1]  # as if other code had made the test's answers
    run.store.put(key, save(stored))
    found, check = decision(run)
    assert (found.decision, found.reason) == ("hold", "serves") and not in_service(run)
    assert check and check.verdict == "failed" and "gives the same answer as in its test to only " in check.sentence


def test_one_that_its_server_refuses_is_held(ledger: Ledger) -> None:
    run = candidate(ledger)
    key = run.key("model.safetensors")
    run.store.put(key, run.store.get(key).body + b"\0")
    found, check = decision(run)
    assert (found.decision, found.reason) == ("hold", "serves")
    assert check and "the server refuses it" in check.sentence and "sha256" in check.sentence


def test_one_that_is_slower_than_its_cap_is_held(ledger: Ledger) -> None:
    found, check = decision(candidate(ledger, serve_p99_seconds_cap=1e-6))
    assert (found.reason, check and check.threshold) == ("serves", 1e-6)


def test_without_the_extra_or_where_it_is_off_nobody_asks_and_the_record_says_so(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(extras.EXTRAS, "serve", ("no_such_module",))
    found, check = decision(candidate(ledger))
    assert found.decision == "ship" and check and check.verdict == "skipped"
    assert check.sentence == (
        "It was not tested in a server: no_such_module is not installed (pip install 'catwalk-mlops[serve]')."
    )
    found, check = decision(candidate(ledger, serve_check="off", accuracy_floor=0.99))
    assert found.decision == "hold" and check is None, "a model that is held anyway is not asked"


@pytest.fixture
def first_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes challengers' servers run a line of Python before anything else."""

    def write(line: str) -> None:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(f"import os, signal, time\n{line}\n")
        monkeypatch.syspath_prepend(folder)

    return write


def test_what_it_prints_disturbs_nothing(ledger: Ledger, first_of_all: Any) -> None:
    first_of_all("print('hello', flush=True)")
    found, check = decision(candidate(ledger, CHATTY))
    assert found.decision == "ship" and check and "same answer as in its test to 150 of 150 examples" in check.sentence


def test_one_that_never_listens_is_held_in_time(ledger: Ledger, first_of_all: Any) -> None:
    first_of_all("time.sleep(600)")
    found, check = decision(candidate(ledger, serve_start_seconds_cap=1.0))
    assert found.reason == "serves" and check and "does not listen in time" in check.sentence


def test_the_server_s_last_words_are_kept_without_passwords(ledger: Ledger, first_of_all: Any) -> None:
    first_of_all("import sys; print('no ledger at http://user:a-password@there/', file=sys.stderr); os._exit(1)")
    _, check = decision(candidate(ledger))
    assert check and "no ledger at http://(redacted)@there/" in check.sentence


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_server_that_others_have_ended_says_nothing_of_the_model(
    ledger: Ledger, first_of_all: Any, number: str
) -> None:
    first_of_all(f"os.kill(os.getpid(), signal.{number})")
    run = candidate(ledger)
    with pytest.raises(TransientError, match=f"{number} ended the server of the challenger"):
        decide(run, Silent())
    assert run.decision() is None and not in_service(run)


@contextmanager
def deciding(run: Run) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Decide in a process group of its own, and the challenger's server, as soon as that starts."""
    code = f"""
from catwalk.ledger.runs import Run
from catwalk.stages.decide import decide
from catwalk.storage.opening import open_store
from catwalk.telemetry.observer import Silent
decide(Run(open_store(), {run.run_id!r}), Silent())
"""
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        [server] = wait_until(
            lambda: [child for child in psutil.Process(process.pid).children() if "catwalk.serving" in child.cmdline()],
            "the challenger's server",
        )
        try:
            yield process, server
        finally:
            if server.is_running():
                server.kill()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_of_the_group_neither_holds_nor_ships(ledger: Ledger, number: int) -> None:
    run = candidate(ledger)
    with deciding(run) as (process, server):
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=PATIENCE)
        assert "CancelledError" in said, said
        assert not server.is_running()
    assert run.decision() is None and not in_service(run)
    assert decision(run)[0].decision == "ship", "a retry decides"


def test_a_server_ends_with_who_has_started_it(ledger: Ledger) -> None:
    with deciding(candidate(ledger)) as (process, server):
        process.kill()
        assert not psutil.wait_procs([server], timeout=PATIENCE / 3)[1]


def test_it_has_room_for_large_examples_and_heeds_no_signal(ledger: Ledger) -> None:
    with _server(candidate(ledger), PATIENCE, lambda: None) as (process, url, _):
        process.terminate()
        body = b'{"inputs": %a}' % ([[0] * 8] * 8) + b" " * (9 * 2**20)
        assert _answer(url, "POST", "/predict", lambda: None, PATIENCE, body)["predictions"]
        assert process.poll() is None


def test_a_stop_just_after_the_last_answer_ships_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped_after(check: CheckRecord) -> CheckRecord:
        signal.raise_signal(signal.SIGTERM)
        return check

    monkeypatch.setattr("catwalk.gate.served.serves", lambda *arguments: stopped_after(serves(*arguments)))
    run = candidate(ledger)
    with pytest.raises(TransientError, match="was stopped by a signal"):
        decide(run, Silent())
    assert run.decision() is None and not in_service(run)

"""Which run a process works on: retries, cleared tasks, ranks, forks, and two processes at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import catwalk
from catwalk.errors import ConfigError, RunConflictError, SupersededError
from catwalk.ledger.records.retraining import RequestRecord, SlotRecord
from catwalk.ledger.runs import Ledger
from catwalk.retraining import slots
from catwalk.retraining.episodes import claimed
from catwalk.tracking import identity, opening
from catwalk.tracking.handle import TrackedRun
from stack.settings import PROJECT
from tests.catwalk.tracking.conftest import KEYS, LABELS, Program, only, scores

LOGS = """
import catwalk, sys
run = catwalk.run("churn", catwalk.Binary())
print("resumed after", run.resume(), flush=True)
for epoch in range(run.resume() + 1, 4):
    run.epoch(epoch, train={"loss": 1 / epoch})
run.model(b"weights")
print("stored", flush=True)
sys.stdin.readline()
run.epoch(4, train={"loss": 0.1})
run.close()
"""


def whole(**options: Any) -> Any:
    with catwalk.run("churn", catwalk.Binary(), **options) as run:
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
    return run


def test_a_killed_run_is_continued_by_the_next_process_with_its_key(ledger: Ledger, program: Program) -> None:
    first = program(LOGS, CATWALK_RUN_KEY="tonight")
    assert first.stdout and first.stdout.readline() == "resumed after 0\n" and first.stdout.readline() == "stored\n"
    first.kill()
    first.wait()
    with catwalk.run("churn", catwalk.Binary(), run_key="tonight") as run:
        assert run.resume() == 3
        run.epoch(2, train={"loss": 9.0})
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
    stored = only(ledger)
    assert [attempt.outcome for attempt in stored.attempts()] == [None, "succeeded"]
    assert [(epoch.epoch, epoch.train_loss) for epoch in stored.training().epochs] == [(1, 1.0), (2, 9.0)]


def test_the_later_of_two_processes_with_one_key_wins(ledger: Ledger, program: Program) -> None:
    first = program(LOGS, CATWALK_RUN_KEY="tonight")
    assert first.stdout and first.stdin and first.stderr
    assert first.stdout.readline() and first.stdout.readline() == "stored\n"
    with catwalk.run("churn", catwalk.Binary(), run_key="tonight") as run:
        run.epoch(1, train={"loss": 5.0})
        run.model(b"m")
        first.stdin.write("\n")
        first.stdin.flush()
        assert first.wait(timeout=60) == 1
        assert "superseded by attempt 2" in first.stderr.read()
    stored = only(ledger)
    assert [epoch.train_loss for epoch in stored.training().epochs] == [5.0]
    assert [attempt.outcome for attempt in stored.attempts()] == ["superseded", "succeeded"]


def test_a_superseded_process_gets_the_error_where_it_stores(ledger: Ledger) -> None:
    run = catwalk.run("churn", catwalk.Binary(), run_key="k")
    opening.open_models.clear()
    other = catwalk.run("churn", catwalk.Binary(), run_key="k")
    with pytest.raises(SupersededError):
        run.model(b"m")
    run.epoch(1, train={"loss": 1.0})
    with pytest.raises(SupersededError):
        run.close()
    other.close()


def test_a_decided_run_that_is_cleared_is_a_new_generation(ledger: Ledger) -> None:
    first, second = whole(run_key="tonight"), whole(run_key="tonight")
    record = ledger.run(second.run_id).record
    assert first.run_id != second.run_id
    assert (record.generation, record.previous_generation) == (2, first.run_id)


def test_without_a_key_each_run_is_new() -> None:
    assert whole().run_id != whole().run_id


def test_a_run_is_one_configuration(ledger: Ledger) -> None:
    catwalk.run("churn", catwalk.Binary(), run_key="k", params={"depth": 6}).close()
    with pytest.raises(RunConflictError, match="depth 6 → 7"):
        catwalk.run("churn", catwalk.Binary(), run_key="k", params={"depth": 7})
    catwalk.run("churn", catwalk.Binary(), run_key="k", params={"depth": 6}).close()


def test_runs_of_one_model_do_not_nest() -> None:
    with catwalk.run("churn", catwalk.Binary()):
        with pytest.raises(ConfigError, match="can't be nested"):
            catwalk.run("churn", catwalk.Binary())
        with catwalk.run("other", catwalk.Binary()):
            pass
    catwalk.run("churn", catwalk.Binary()).close()


@pytest.mark.parametrize(
    "environment",
    [
        {"CATWALK_DISABLED": "1"},
        {"RANK": "1"},
        {"LOCAL_RANK": "2"},
        {"RANK": "3", "LOCAL_RANK": "0"},
        {"SLURM_PROCID": "1"},
    ],
)
def test_a_disabled_run_accepts_every_call(
    environment: dict[str, str], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.data(as_of="2026-11-25")
        run.epoch(1, train={"loss": 1.0})
        run.log(loss=1.0)
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
        assert run.resume() == 0
    assert isinstance(run, TrackedRun) and run.decision is None and run.run_id == ""
    assert not Path(ledger.store.url.removeprefix("file://")).exists()


def test_rank_0_writes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    whole()
    assert only(ledger).decision()


def test_a_forked_child_writes_nothing(ledger: Ledger) -> None:
    run = catwalk.run("churn", catwalk.Binary())
    run.epoch(1, train={"loss": 1.0})
    child = os.fork()
    if not child:
        status = 1
        try:
            run.epoch(2, train={"loss": 2.0})
            run.test(LABELS, scores())
            with catwalk.run("churn", catwalk.Binary()) as own:
                own.epoch(7, train={"loss": 7.0})
            run.close()
            status = 0 if own.run_id == "" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    run.close()
    stored = only(ledger)
    assert [epoch.epoch for epoch in stored.training().epochs] == [1]
    assert stored.summary().state == "untested"


LOADED = """
import catwalk, torch

class Examples(torch.utils.data.Dataset):
    def __init__(self, run):
        self.run = run

    def __len__(self):
        return 4

    def __getitem__(self, row):
        self.run.epoch(row + 5, train={"loss": 9.0})
        with catwalk.run("churn", catwalk.Binary()) as own:
            own.log(loss=9.0)
        return float(bool(own.run_id))

with catwalk.run("churn", catwalk.Binary()) as run:
    loader = torch.utils.data.DataLoader(Examples(run), num_workers=2, multiprocessing_context="fork")
    run.epoch(1, train={"loss": sum(float(found) for found in loader)})
"""


def test_the_workers_of_a_loader_write_nothing(ledger: Ledger, program: Program) -> None:
    loads = program(LOADED)
    _, told = loads.communicate(timeout=300)
    assert loads.returncode == 0, told
    stored = only(ledger)
    assert [(epoch.epoch, epoch.train_loss) for epoch in stored.training().epochs] == [(1, 0.0)]
    assert stored.summary().state == "untested"


@pytest.mark.integration
def test_one_rank_of_torchrun_writes(ledger: Ledger, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("""
import os, catwalk
with catwalk.run("churn", catwalk.Binary()) as run:
    run.epoch(1, train={"loss": float(os.environ["RANK"])})
print(os.environ["RANK"], bool(run.run_id))
""")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0 True", "1 False"]
    stored = only(ledger)
    assert [epoch.train_loss for epoch in stored.training().epochs] == [0.0]


def test_a_run_from_cron_has_little_environment_prints_its_decision_alone_and_ships(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Runs the script as crond runs a line of a crontab: by /bin/sh, in the home, with four variables and no
    terminal.
    """
    (tmp_path / "train.py").write_text("""
import catwalk
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores
with catwalk.run("churn", catwalk.Binary(), every="24h") as run:
    run.epoch(1, train={"loss": 1.0})
    run.model(b"weights")
    run.test(LABELS, scores(), keys=KEYS)
print(run.decision)
""")
    line = f"CATWALK_STORE={ledger.store.url} CATWALK_SHIP=1 {sys.executable} train.py"
    given = {"HOME": str(tmp_path), "LOGNAME": "growth", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", "-c", line], env=given, cwd=tmp_path, stdin=subprocess.DEVNULL, start_new_session=True,
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Ship: no champion yet") and done.stdout.count("\n") == 1
    record = only(ledger).record
    assert (record.trigger, record.ships, record.run_key) == ("schedule", True, "")


class _Context(dict[str, Any]):
    """What Airflow gives a task, with names that both its versions have."""

    def __init__(self, kind: str, index: int = -1) -> None:
        dag_run = types.SimpleNamespace(dag_id="nightly", run_id="r1", run_type=kind)
        super().__init__(dag_run=dag_run, ti=types.SimpleNamespace(task_id="train", map_index=index))


@pytest.mark.parametrize("module", ["airflow.sdk", "airflow.operators.python"])
@pytest.mark.parametrize(("kind", "ships"), [("scheduled", True), ("manual", True), ("backfill", False)])
def test_airflows_task_is_the_key_and_its_type_of_run_decides_about_shipping(
    module: str, kind: str, ships: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = types.ModuleType(module)
    fake.get_current_context = lambda: _Context(kind, 3)  # type: ignore[attr-defined]
    for name in ("airflow.sdk", "airflow.operators.python"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, fake)
    found = identity.identify()
    assert (found.key, found.dag_id, found.dag_run_id) == ("airflow:nightly/r1/train/3", "nightly", "r1")
    assert found.ships is ships
    assert found.trigger == ("cli" if not ships else "manual" if kind == "manual" else "schedule")
    assert identity.identify("mine").key == "mine"
    assert not identity.identify(ship="never").ships


def test_a_real_airflow_says_which_task_runs(program: Program, tmp_path: Path) -> None:
    code = """
import types
from airflow.sdk.execution_time.context import set_current_context
from airflow.utils.types import DagRunType
from catwalk.tracking.identity import identify
print(identify().key or "none")
dag_run = types.SimpleNamespace(dag_id="nightly", run_id="r1", run_type=DagRunType.SCHEDULED)
with set_current_context({"dag_run": dag_run, "ti": types.SimpleNamespace(task_id="train", map_index=2)}):
    print(identify().key, identify().trigger)
"""
    told, _ = program(code, AIRFLOW_HOME=str(tmp_path)).communicate(timeout=500)
    assert told.splitlines()[-2:] == ["none", "airflow:nightly/r1/train/2 schedule"]


def test_a_complete_run_loads_nothing_heavy(program: Program) -> None:
    code = """
import sys
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores
before = set(sys.modules)
import catwalk
with catwalk.run("churn", catwalk.Binary()) as run:
    run.epoch(1, train={"loss": 1.0})
    run.model(b"m")
    run.test(LABELS, scores(), keys=KEYS, slices={"parity": KEYS % 2})
print(run.decision.decision, sorted({"torch", "scipy", "matplotlib", "pandas", "airflow", "boto3"} & set(sys.modules)))
"""
    told, _ = program(code).communicate(timeout=500)
    assert told.splitlines()[-1] == "would_ship []"


@pytest.mark.parametrize(
    ("dag_run_id", "ships"),
    [("scheduled__2026-11-25", True), ("manual__x", True), ("by hand", True), ("backfill__x", False)],
)
def test_a_process_of_airflow_knows_its_task_from_the_environment(dag_run_id: str, ships: bool) -> None:
    environment = {
        "AIRFLOW_CTX_DAG_ID": "nightly", "AIRFLOW_CTX_DAG_RUN_ID": dag_run_id, "AIRFLOW_CTX_TASK_ID": "train",
    }  # fmt: skip
    found = identity.identify(environment=environment)
    assert found.key == f"airflow:nightly/{dag_run_id}/train/-1" and found.ships is ships
    mapped = identity.identify(environment={**environment, "AIRFLOW_CTX_MAP_INDEX": "2"})
    assert mapped.key == f"airflow:nightly/{dag_run_id}/train/2"


def test_a_dag_run_that_an_alert_requested_says_so_and_is_the_one_that_is_judged(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = RequestRecord(1, "catwalk__churn__e1", "ServiceInputDrifted", 0.0, 0.0)
    slots.keep(ledger.store, SlotRecord("churn", number=1, episode=asked), None)
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "nightly")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", asked.dag_run_id)
    run = whole()
    record = ledger.run(run.run_id).record
    assert (record.trigger, record.alert, record.episode, record.ships) == ("alert", "ServiceInputDrifted", 1, True)
    assert run.decision.decision == "ship"
    claim = claimed(ledger.store, "churn", 1)
    assert claim and claim.run_id == run.run_id
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "catwalk__churn__e2")
    assert ledger.run(whole().run_id).record.trigger == "manual", "no alert has requested this one"

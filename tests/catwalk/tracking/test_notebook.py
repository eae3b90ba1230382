"""Runs in a notebook's kernel: cells, an interrupted cell, a cell that runs again, a kernel that restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from catwalk.environment.heartbeats import Heartbeats
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Ledger, Run
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from stack.settings import PROJECT
from tests.catwalk.tracking.conftest import only
from tests.support.servers import wait_until

SECONDS = 180
IMPORTS = "import catwalk, time\nfrom tests.catwalk.tracking.conftest import KEYS, LABELS, scores"
OPENS = 'run = catwalk.run("churn", catwalk.Binary())'
LOGS = 'run.epoch(1, train={"loss": 1.0})'
TESTS = 'run.model(b"weights"); _ = run.test(LABELS, scores(), keys=KEYS)'
ENDS = "run.close(); print(run.decision)"
STANDS_STILL = """
with catwalk.run("churn", catwalk.Binary()) as run:
    run.epoch(1, train={"loss": 1.0})
    print("stands still")
    time.sleep(600 * stands_still)
    run.model(b"weights")
    run.test(LABELS, scores(), keys=KEYS)
print(run.decision)
"""


class Notebook:
    """A kernel as notebooks have it, in which a user runs cells."""

    def __init__(self, folder: Path) -> None:
        self.kernel = KernelManager(transport="ipc", connection_file=str(folder / "kernel.json"))
        self.kernel.start_kernel(cwd=str(PROJECT))
        self.client: BlockingKernelClient = self.kernel.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)
        self.told = ""

    def runs(self, cell: str) -> str:
        """Returns what a cell prints."""
        reply = self._reply(self.client.execute(cell))
        assert reply["status"] == "ok", reply
        return self.told

    def fails(self, cell: str) -> str:
        """Returns the error of a cell."""
        return self._error(self._reply(self.client.execute(cell)))

    def interrupted(self, cell: str) -> str:
        """Returns the error of a cell that the user interrupts once it has printed something."""
        asked = self.client.execute(cell)
        while self.client.get_iopub_msg(timeout=SECONDS)["msg_type"] != "stream":
            pass
        self.kernel.interrupt_kernel()
        return self._error(self._reply(asked))

    def restart(self) -> None:
        """Removes everything that the kernel knew."""
        self.kernel.restart_kernel()
        self.client.wait_for_ready(timeout=SECONDS)

    def stop(self) -> None:
        self.client.stop_channels()
        self.kernel.shutdown_kernel(now=True)
        self.kernel.cleanup_resources()

    def _reply(self, asked: str) -> dict[str, Any]:
        """Returns the reply to a cell, after reading everything that the cell has printed."""
        self.told, idle = "", False
        while not idle:
            message = self._about(asked, self.client.get_iopub_msg)
            self.told += message["content"].get("text", "")
            idle = message["content"].get("execution_state") == "idle"
        return cast(dict[str, Any], self._about(asked, self.client.get_shell_msg)["content"])

    @staticmethod
    def _about(asked: str, next_message: Callable[..., Any]) -> Any:
        """Returns the next message of a channel that answers a request; replies to others may still arrive there."""
        while (message := next_message(timeout=SECONDS))["parent_header"].get("msg_id") != asked:
            pass
        return message

    @staticmethod
    def _error(reply: dict[str, Any]) -> str:
        assert reply["status"] == "error", reply
        return f"{reply['ename']}: {reply['evalue']}"


@pytest.fixture
def notebook(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A notebook whose first cell has run."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    opened = Notebook(tmp_path)
    opened.runs(IMPORTS)
    yield opened
    opened.stop()


def runs(ledger: Ledger) -> list[Run]:
    """Summaries of the ledger, oldest first."""
    found = {entry.key.split("/")[1] for entry in ledger.store.list("runs/")}
    return sorted((ledger.run(run_id) for run_id in found), key=lambda run: run.record.created)


def state(run: Run) -> str:
    summary = run.summary()
    assert summary
    return summary.state


def test_a_run_over_several_cells_would_ship_and_is_never_the_latest(ledger: Ledger, notebook: Notebook) -> None:
    for cell in (OPENS, LOGS, LOGS, TESTS):
        notebook.runs(cell)
    assert "Would ship: no champion yet" in notebook.runs(ENDS)
    run = only(ledger)
    assert (run.record.trigger, run.record.ships, state(run)) == ("cli", False, "succeeded")
    assert [epoch.epoch for epoch in run.training().epochs] == [1]
    assert Champions(ledger.store).get("churn") is None
    told: list[Snapshot] = []
    LedgerReader(ledger.store).read(time.time(), told.append)
    text = Exposition(Settings()).render(Facts(told[-1], True, {}, None, time.time())).decode()
    assert run.run_id in text and 'role="' not in text


def test_an_interrupted_cell_is_cancelled_and_may_be_run_again(ledger: Ledger, notebook: Notebook) -> None:
    notebook.runs("stands_still = True")
    assert notebook.interrupted(STANDS_STILL) == "KeyboardInterrupt: "
    notebook.runs("stands_still = False")
    assert "Would ship: no champion yet" in notebook.runs(STANDS_STILL)
    assert [state(run) for run in runs(ledger)] == ["cancelled", "succeeded"]


def test_a_cell_that_opens_a_run_twice_says_so_and_the_first_continues(ledger: Ledger, notebook: Notebook) -> None:
    notebook.runs(OPENS)
    assert "ConfigError: a run of churn is already open in this process: close it first" in notebook.fails(OPENS)
    for cell in (LOGS, TESTS):
        notebook.runs(cell)
    assert "Would ship" in notebook.runs(ENDS)
    assert state(only(ledger)) == "succeeded"
    notebook.runs(f"{OPENS}; run.close()")
    assert [state(run) for run in runs(ledger)] == ["succeeded", "untested"]


def test_the_run_of_a_restarted_kernel_is_lost_and_the_next_run_closes_it(ledger: Ledger, notebook: Notebook) -> None:
    notebook.runs(f"{OPENS}; {LOGS}")
    left = only(ledger)
    wait_until(lambda: left.summary().epochs == 1)
    notebook.restart()
    assert state(left) == "running"
    left.update_summary(lambda summary: replace(summary, updated=summary.updated - 2 * Heartbeats().lost_after_seconds))
    notebook.runs(IMPORTS)
    for cell in (OPENS, LOGS, TESTS):
        notebook.runs(cell)
    assert "Would ship" in notebook.runs(ENDS)
    assert [state(run) for run in runs(ledger)] == ["lost", "succeeded"]

"""The closed loop in two minutes: the requests to a model change, an alert requests a retraining, the new version is
served, and the alert is resolved.

It runs in a separate stack on free ports, whose rules take seconds for an hour, and removes it at the end. Another
stack, its settings and its receivers are left alone. :mod:`stack.demo` has the model.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.assets.drift_windows import DriftWindows
from catwalk.environment.caller import become_client
from catwalk.environment.proxies import fetch_part
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.retraining import RetrainingSettings, SlotRecord
from catwalk.ledger.runs import Ledger
from catwalk.retraining import slots
from catwalk.retraining.events import TurnedOn
from catwalk.storage.opening import open_store
from stack.configuration.environment import client_environment, process_environment
from stack.native import control
from stack.parts.health import get, series
from stack.ports import free_ports
from stack.settings import PROJECT, Settings, StackError

ALERT, DAG = "ServiceInputDrifted", "on_request"
FIRING = f'ALERTS{{alertname="{ALERT}", alertstate="firing"}}'
PARTS = ["s3", "statsd_exporter", "prometheus", "alertmanager", "exporter", "courier", "serve"]
AIRFLOW = ["airflow-api-server", "airflow-scheduler", "airflow-dag-processor"]
WINDOWS, INTERVAL = DriftWindows(hour=8, day=24), "2s"
STEP_SECONDS = 300.0
_OTHERS = ("CATWALK_", "AIRFLOW_", "AWS_")
_BATCH, _PAUSE_SECONDS = 20, 0.1
Say = Callable[[str], object]
Examples = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Case:
    """A model whose inputs change."""

    trainable: str
    model: str
    before: Mapping[str, Any]
    """Settings of the first run that is served."""
    after: Mapping[str, Any]
    """Settings of the DAG, whose data changes as the requests do."""
    usual: Examples
    """Examples of the first requests, (n, …)."""
    changed: Examples
    """Examples of the later requests, (n, …)."""
    change: str
    """How they change, as a sentence."""


def close(case: Case, say: Say) -> bool:
    """Runs the loop and prints a line for each step. Returns whether no request has failed.

    Raises:
        StackError: A step did not happen in time.
    """
    with own_stack(case) as settings:
        loop = Loop(settings, case, say)
        loop.serve_a_champion()
        with Traffic(settings.url("serve"), case.usual) as traffic:
            loop.wait_for_a_usual_day()
            traffic.examples = case.changed
            loop.follow()
        say(f"{traffic.answered:,} requests were answered, and {len(traffic.failures)} failed")
        for why in traffic.failures[:1]:
            say(f"the first of these: {why}")
    return not traffic.failures


@contextmanager
def own_stack(case: Case) -> Iterator[Settings]:
    """Starts the stack, and makes this process its client."""
    before = dict(os.environ)
    home = Path(tempfile.mkdtemp(prefix="catwalk-loop-"))
    settings = Settings(home, free_ports(), INTERVAL, WINDOWS)
    try:
        for name in [name for name in os.environ if name.startswith(_OTHERS)]:
            del os.environ[name]
        _write(home, case)
        control.up(settings, [*PARTS, *AIRFLOW], say=_silent)
        become_client(client_environment(settings))
        yield settings
    finally:
        control.down(settings, say=_silent)
        shutil.rmtree(home, ignore_errors=True)
        os.environ.clear()
        os.environ.update(before)


def _silent(_: str) -> None:
    """Prints nothing."""


def _write(home: Path, case: Case) -> None:
    """Writes the stack's settings and its only DAG."""
    dags = home / "dags"
    dags.mkdir()
    own = {
        "AIRFLOW__CORE__DAGS_FOLDER": dags,
        "CATWALK_SERVE_MODEL": case.model,
        "CATWALK_RETRAINING_SECONDS": 2,
        "CATWALK_RETRAINING_WARMUP_SECONDS": 60,
    }
    (home / "local.env").write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    (dags / f"{DAG}.py").write_text(
        "from catwalk.airflow.retraining import retraining_dag\n"
        f"dag = retraining_dag({case.trainable!r}, dag_id={DAG!r}, schedule='None', settings={dict(case.after)!r})\n"
    )


@dataclass
class Traffic:
    """Sends requests to `catwalk serve` until its block ends. Its examples may change in between."""

    url: str
    examples: Examples
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Traffic:
        self._thread = threading.Thread(target=self._ask, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        random = np.random.default_rng()
        while not self._stop.wait(_PAUSE_SECONDS):
            examples = self.examples
            body = examples[random.integers(len(examples), size=_BATCH)].tobytes()
            headers = {"Content-Type": "application/octet-stream"}
            try:
                fetch_part(urllib.request.Request(f"{self.url}/predict", body, headers), 60)
                self.answered += 1
            except (OSError, ValueError) as error:
                self.failures.append(str(error))


class Loop:
    """The steps of the loop, and their times."""

    def __init__(self, settings: Settings, case: Case, say: Say) -> None:
        self._settings, self._case, self._say = settings, case, say
        self._store = open_store()
        self._began = 0.0

    def serve_a_champion(self) -> None:
        """Trains a champion, turns retraining on, and waits until the champion is served."""
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in self._case.before.items()]
        program = str(PROJECT / ".venv" / "bin" / "catwalk")
        command = [program, "run", self._case.trainable, *flags]
        done = subprocess.run(command, env=process_environment(self._settings), capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"the loop's first run failed: {done.stderr.strip()}")
        allowed = RetrainingSettings(dag_id=DAG, watch_seconds=4.0 * WINDOWS.day)
        slots.change(self._store, self._case.model, TurnedOn(allowed, "demo"))
        run_id = self._champion()
        self._until(lambda: self._served() == run_id, "catwalk serve does not use the champion")
        self._say(f"champion {run_id}, served at {self._settings.url('serve')}")

    def wait_for_a_usual_day(self) -> None:
        """Waits until the windows have enough of the usual requests."""
        enough = 'min(model:service_feature:examples{side="input", window="day"}) >= 2000'
        self._until(lambda: series(self._settings, enough), "Prometheus has not seen a day of requests")
        if series(self._settings, FIRING):
            raise StackError(f"{ALERT} is firing although nothing has changed")
        self._began = time.monotonic()
        self.note(self._case.change)

    def follow(self) -> None:
        """Follows the loop from the change until the alert is resolved."""
        first = self._champion()
        self._until(lambda: series(self._settings, FIRING), f"{ALERT} is not firing")
        self.note(f"{ALERT} is firing")
        self._until(lambda: self._slot().state == "running", "the courier has not asked Airflow for a run")
        self.note(f"the courier has requested the DAG run {self._episode().dag_run_id}")
        self._until(lambda: bool(self._episode().verdict), "the run has not been judged")
        decision = Ledger(self._store).run(self._episode().run_id).decision()
        self.note(decision.sentence if decision else self._episode().reason)
        if self._champion() == first:
            raise StackError("the run that the alert requested did not ship")
        self._until(lambda: self._served() == self._champion(), "catwalk serve does not use the new champion")
        self.note(f"catwalk serve has switched to {self._champion()}")
        self._until(lambda: series(self._settings, FIRING) == [], f"{ALERT} is not resolved")
        self.note(f"{ALERT} is resolved, while the requests stay changed")

    def note(self, what: str) -> None:
        """Prints a line with the seconds since the change."""
        self._say(f"{time.monotonic() - self._began:6.1f} s  {what}")

    def _until(self, condition: Callable[[], object], otherwise: str) -> None:
        wait(condition, STEP_SECONDS, f"{otherwise} after {STEP_SECONDS:.0f} s")

    def _champion(self) -> str:
        return Champions(self._store).run_id(self._case.model)

    def _served(self) -> str:
        body = get(f"{self._settings.url('serve')}/model")
        return str(json.loads(body)["version"]) if body else ""

    def _slot(self) -> SlotRecord:
        return slots.slot(self._store, self._case.model) or SlotRecord(self._case.model)

    def _episode(self) -> Any:
        return self._slot().episode


def wait(condition: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Returns once a condition holds.

    Raises:
        StackError: It does not hold in time; the message is `otherwise`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(otherwise)
        time.sleep(0.5)

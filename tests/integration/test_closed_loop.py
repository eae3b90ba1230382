"""The whole loop with real servers: what is asked turns, an alert asks for a retraining, what that ships is served, and
the alert resolves although the traffic stays as it is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from catwalk.assets.drift_windows import DriftWindows
from catwalk.clients.courier import told
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.retraining import RetrainingSettings, SlotRecord
from catwalk.retraining import slots
from catwalk.retraining.events import TurnedOn
from ml.fashion_mnist.config import DataConfig, RunConfig
from ml.fashion_mnist.dataset import read_splits
from tests.conftest import SERVICES, RunningStack, running_stack
from tests.integration.conftest import finish, start_run
from tests.support.asking import Asking, Pictures
from tests.support.servers import wait_until
from tests.support.small import FEED, TURNED_DAY, UPRIGHT_DAY

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200)]

MODEL, DAG, ALERT = "mlp-synthetic-feed", "feed_on_request", "ServiceInputDrifted"
AIRFLOW = ["airflow-api-server", "airflow-scheduler", "airflow-dag-processor"]
WINDOWS = DriftWindows(hour=8, day=24)
SETTINGS = RetrainingSettings(dag_id=DAG, watch_seconds=4.0 * WINDOWS.day)
PATIENCE = 400.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A server of the model, and everything that watches it; rules take 8 seconds for an hour, and 24 for a day."""
    dags = tmp_path_factory.mktemp("dags")
    shutil.copy(Path(__file__).with_name("loop_dag.py"), dags)
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "CATWALK_SERVE_MODEL": MODEL,
        "CATWALK_RETRAINING_SECONDS": "2",
    }
    with running_stack([*SERVICES, "serve", *AIRFLOW], settings, "2s", WINDOWS) as running, running.as_environment():
        yield running


class Diary:
    """What has come to pass, and when."""

    def __init__(self) -> None:
        self._last = self._first = time.monotonic()

    def note(self, what: str) -> None:
        """Prints the seconds since the beginning and since what came before."""
        now = time.monotonic()
        print(f"{now - self._first:6.1f} s  (+{now - self._last:5.1f})  {what}")
        self._last = now


def pictures(as_of: str) -> Pictures:
    """What the feed has to test by, as of a day."""
    config: DataConfig = RunConfig.from_flat({**FEED, "as_of": as_of}).data
    return read_splits(config)["test"].images.numpy()


def served(stack: RunningStack) -> str:
    """The version that answers; empty: none does yet."""
    answer = httpx.get(f"{stack.settings.url('serve')}/model", timeout=60, trust_env=False)
    return str(answer.json()["version"] or "")


def champion(stack: RunningStack) -> str:
    found = Champions(stack.ledger.store).get(MODEL)
    return found[0].run_id if found else ""


def slot(stack: RunningStack) -> SlotRecord:
    found = slots.slot(stack.ledger.store, MODEL)
    assert found
    return found


def notifications(stack: RunningStack) -> list[str]:
    """What the courier was told of the alert, the oldest first."""
    kept = told(stack.settings.url("courier"), 1_000)["notifications"]
    return [one["status"] for one in reversed(kept) if one["labels"]["alertname"] == ALERT]


def alerts(stack: RunningStack, state: str = "firing|pending") -> list[Any]:
    return stack.query(f'ALERTS{{alertname="{ALERT}", alertstate=~"{state}"}}')


def dag_runs(stack: RunningStack) -> list[str]:
    """Ids of all runs of the DAG."""
    return [run["dag_run_id"] for run in stack.airflow("GET", f"dags/{DAG}/dagRuns?limit=100")["dag_runs"]]


def test_a_drift_is_healed_by_the_retraining_that_it_asks_for(own_stack: RunningStack) -> None:
    stack = own_stack
    first, training = start_run(stack, {**FEED, "as_of": UPRIGHT_DAY})
    finish(training)
    assert champion(stack) == first.run_id
    slots.change(stack.ledger.store, MODEL, TurnedOn(SETTINGS, "ann"))
    wait_until(lambda: served(stack) == first.run_id, "the champion is served")
    wait_until(lambda: DAG in [dag["dag_id"] for dag in stack.airflow("GET", "dags")["dags"]], "Airflow has the DAG")
    with Asking(stack.settings.url("serve"), pictures(UPRIGHT_DAY)) as traffic:
        enough = 'min(model:service_feature:examples{side="input", window="day"}) >= 2000'
        wait_until(lambda: stack.query(enough), "a day of upright pictures")
        assert not alerts(stack) and not dag_runs(stack)
        turned, diary = pictures(TURNED_DAY), Diary()
        traffic.pictures = turned
        diary.note("the traffic turns")
        follow(stack, first.run_id, diary)
        newest = champion(stack)
        wait_until(lambda: slot(stack).state != "watched", "the retraining is known to have helped", PATIENCE)
        diary.note("the retraining has helped")
        healed = f'max(model:service_feature:excess{{side="input", version="{newest}", window="day"}}) < 1'
        assert stack.query(healed), "the new version is asked what it was tested on"
    assert not traffic.failures and set(traffic.versions) == {first.run_id, newest}
    assert dag_runs(stack) == ["catwalk__mlp-synthetic-feed__e1"]
    assert notifications(stack) == ["firing", "resolved"]
    assert (slot(stack).state, slot(stack).number, slot(stack).strikes) == ("cooling", 1, 0)


def follow(stack: RunningStack, first: str, diary: Diary) -> None:
    """Waits for each thing that has to come to pass, until the alert is over."""
    wait_until(lambda: alerts(stack, "firing"), "the alert fires", PATIENCE)
    diary.note("the alert fires")
    wait_until(lambda: notifications(stack), "the courier is told", PATIENCE)
    diary.note("the courier is told")
    wait_until(lambda: slot(stack).state == "running", "Airflow has the run", PATIENCE)
    diary.note("Airflow has the run")
    episode = wait_until(lambda: (found := slot(stack).episode) and found.verdict and found, "a judgement", PATIENCE)
    assert episode
    run = stack.ledger.run(episode.run_id)
    decision = run.decision()
    assert decision and (episode.verdict, decision.reason) == ("shipped", "better"), decision
    assert (run.record.trigger, run.record.alert, run.record.episode) == ("alert", ALERT, 1)
    assert champion(stack) == run.run_id != first
    diary.note("the retrained model is the champion")
    wait_until(lambda: served(stack) == run.run_id, "it is served", PATIENCE)
    diary.note("it is served")
    wait_until(lambda: not alerts(stack), "the alert is over", PATIENCE)
    diary.note("the alert is over")
    wait_until(lambda: len(notifications(stack)) > 1, "the courier is told of the end", PATIENCE)
    diary.note("the courier is told of the end")

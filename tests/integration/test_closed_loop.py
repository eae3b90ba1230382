"""The whole loop with real servers, as the demo shows it: the requests are rotated, an alert requests a retraining, the
new version is served, and the alert is resolved although the requests stay rotated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from catwalk.clients.courier import told
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.retraining import SlotRecord
from catwalk.retraining import slots
from stack.closed_loop import ALERT, DAG, Case, Loop, Traffic, own_stack
from stack.demo import drifting
from tests.conftest import RunningStack
from tests.support.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200)]

MODEL = "mlp-synthetic-feed"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The case of the demo, with the data in a separate home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATWALK_HOME", str(tmp_path_factory.mktemp("home")))
        return drifting()


@pytest.fixture(name="own_stack", scope="module")
def _own_stack(case: Case) -> Iterator[RunningStack]:
    """A server of the model, and everything that watches it; rules take 8 seconds for an hour, and 24 for a day."""
    with own_stack(case) as settings:
        yield RunningStack(settings)


def champion(stack: RunningStack) -> str:
    found = Champions(stack.ledger.store).get(MODEL)
    assert found
    return found[0].run_id


def slot(stack: RunningStack) -> SlotRecord:
    found = slots.slot(stack.ledger.store, MODEL)
    assert found
    return found


def notifications(stack: RunningStack) -> list[str]:
    """The alert's notifications at the courier, the oldest first."""
    kept = told(stack.settings.url("courier"), 1_000)["notifications"]
    return [one["status"] for one in reversed(kept) if one["labels"]["alertname"] == ALERT]


def dag_runs(stack: RunningStack) -> list[str]:
    """Ids of all runs of the DAG."""
    return [run["dag_run_id"] for run in stack.airflow("GET", f"dags/{DAG}/dagRuns?limit=100")["dag_runs"]]


def test_a_drift_is_healed_by_the_retraining_that_it_asks_for(own_stack: RunningStack, case: Case) -> None:
    loop = Loop(own_stack.settings, case, print)
    loop.serve_a_champion()
    first = champion(own_stack)
    with Traffic(own_stack.settings.url("serve"), case.usual) as traffic:
        loop.wait_for_a_usual_day()
        assert not notifications(own_stack)
        traffic.examples = case.changed
        loop.follow()
        wait_until(lambda: slot(own_stack).state != "watched", "the retraining is known to have helped")
        loop.note("the retraining is known to have helped")
        newest = champion(own_stack)
        today = f'model:service_feature:excess{{side="input", version="{newest}", window="day"}}'
        assert own_stack.query(f"max({today}) < 1"), "the new version gets inputs like those of its test"
    assert (slot(own_stack).state, slot(own_stack).number, slot(own_stack).strikes) == ("cooling", 1, 0)
    episode = slot(own_stack).episode
    assert episode and (episode.verdict, episode.run_id) == ("shipped", newest) and newest != first
    record = own_stack.ledger.run(newest).record
    assert (record.trigger, record.alert, record.episode) == ("alert", ALERT, 1)
    assert dag_runs(own_stack) == [f"catwalk__{MODEL}__e1"]
    assert notifications(own_stack) == ["firing", "resolved"]
    assert traffic.answered and not traffic.failures

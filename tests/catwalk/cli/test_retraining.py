"""``catwalk retraining``: what a user sets, and sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from catwalk.ledger.records.retraining import RequestRecord, SlotRecord
from catwalk.retraining import slots
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from tests.support.commands import Done, command_line
from tests.support.ledgers import put_summary, summary

Command = Callable[..., Done]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    (tmp_path / "ledger").mkdir()
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_BY", "ann")
    return open_store()


@pytest.fixture
def catwalk(
    store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    found: Command = command_line(capfd, monkeypatch, tmp_path)
    return found


def test_it_is_turned_on_with_limits_that_stay_until_you_change_them(catwalk: Command, store: Store) -> None:
    done = catwalk("retraining", "on", "解約", "--dag", "churn_training", "--cooldown", "36h", "--budget", "2")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("解約: an alert may request a run of churn_training, 2 in seven days, 36 h apart;")
    assert catwalk("retraining", "off", "解約", "--by", "bob").code == 0
    assert catwalk("retraining", "on", "解約", "--predictions", "0", "--watch", "90min", "--strikes", "3").code == 0
    told = catwalk("retraining", "status", "解約", "--json").json()
    assert told["changed_by"] == "ann"
    assert told["settings"] == {
        "on": True,
        "dag_id": "churn_training",
        "cooldown_seconds": 36 * 3_600,
        "budget": 2,
        "watch_seconds": 5_400,
        "watch_predictions": 0,
        "strikes": 3,
    }


def test_the_dag_is_that_of_the_last_run(catwalk: Command, store: Store) -> None:
    put_summary(store, replace(summary("20261122T030000Z-00000001"), model="churn", dag_id="nightly"))
    assert "a run of nightly," in catwalk("retraining", "on", "churn").out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["on", "churn"], "no DAG has run churn yet; name the one that retrains it with --dag"),
        (["on", "churn", "--dag", "d", "--cooldown", "soon"], "--cooldown must be a duration such as 24h"),
        (["on", "a/b", "--dag", "d"], "model: expected a name of letters and digits"),
        (["off", "churn"], "retraining of churn was never turned on; `catwalk retraining on churn` does that"),
        (["status", "churn"], "retraining of churn was never turned on"),
        (["reset", "churn"], "retraining of churn was never turned on"),
    ],
)
def test_nonsense_is_refused_in_one_line(catwalk: Command, store: Store, arguments: list[str], line: str) -> None:
    done = catwalk("retraining", *arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"catwalk: {line}") and done.err.count("\n") == 1
    assert list(store.list("")) == []


def test_only_a_person_resets_the_breaker_and_only_if_it_is_open(catwalk: Command, store: Store) -> None:
    slots.keep(store, SlotRecord("churn", state="breaker", strikes=2, why="2 in a row have not helped"), None)
    assert "why             2 in a row have not helped" in catwalk("retraining", "status", "churn").out
    assert catwalk("retraining", "reset", "churn", "--by", "grace").out.startswith("churn: the breaker is closed")
    found = slots.find(store, "churn")
    assert found and (found[0].state, found[0].strikes, found[0].changed_by) == ("idle", 0, "grace")
    again = catwalk("retraining", "reset", "churn")
    assert again.code == 1 and "the breaker of churn is not open" in again.err


def test_status_shows_the_last_episodes_and_what_was_refused(catwalk: Command, store: Store) -> None:
    old = RequestRecord(1, "catwalk__churn__e1", "ServiceInputDrifted", 0.0, 0.0, reason="resolved_first")
    new = RequestRecord(
        2, "catwalk__churn__e2", "ServiceInputDrifted", 0.0, 0.0, started=1.0, verdict="held", run_id="the run"
    )
    slot = SlotRecord("churn", number=2, episode=new, history=[old], refusals={"cooldown": 3, "resolved_first": 1})
    slots.keep(store, slot, None)
    shown = catwalk("retraining", "status", "churn").out
    assert "cooldown 3, resolved_first 1" in shown
    [first, second] = [line for line in shown.splitlines() if "ServiceInputDrifted" in line]
    assert "catwalk__churn__e2" in first and "the run" in first and first.rstrip().endswith("held")
    assert second.rstrip().endswith("resolved_first") and "catwalk__churn__e1" not in second

"""Every reader of the ledger copes with a run that has no accuracy, no classes and no confusion matrix."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catwalk
from catwalk.errors import ConfigError
from catwalk.ledger.models.watched import watched
from catwalk.ledger.runs import Ledger
from catwalk.ledger.summaries import Summaries
from catwalk.storage.file_store import FileStore
from catwalk.storage.store import Store
from catwalk.tracking import journal
from catwalk.trainable import of_run
from catwalk_exporter.exposition import Exposition, Facts, Settings
from catwalk_exporter.snapshot import LedgerReader, Snapshot
from tests.catwalk.tracking.conftest import KEYS, LABELS, only, scores
from tests.support.commands import command_line


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the `catwalk` command on the test's ledger."""
    return command_line(capfd, monkeypatch, tmp_path)


@pytest.fixture
def shipped(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two runs of a binary model; the second is in service."""
    monkeypatch.setenv("CATWALK_SHIP", "1")
    made = []
    for day, noise in (("2026-11-25", 0.3), ("2026-11-26", 0.1)):
        with catwalk.run("churn", catwalk.Binary(), params={"noise": noise}) as run:
            run.data(as_of=day)
            run.epoch(1, train={"loss": 0.5}, validation={"loss": 0.6, "auc": 0.9})
            run.model(b"weights")
            run.test(LABELS, scores(noise), keys=KEYS, slices={"country": np.where(KEYS % 2, "de", "fr")})
        made.append(run.run_id)
    return made


def test_tables_show_the_headline_and_any_metric(command: Any, shipped: list[str]) -> None:
    listed = command("runs").out
    assert listed.count("ship") == 2 and listed.count("log loss 0.") == 2
    assert command("runs", "--where", "test_auc >= 0.99").out.count("2026") == 1
    shown = command("show", shipped[1]).out
    assert "valid. auc" in shown and "test log loss" in shown and "country" in shown
    compared = command("compare", *shipped, "--json").json()
    assert [found["test_accuracy"] for found in compared["runs"]] == [None, None]


def test_the_champion_is_fetched_as_it_was_logged(command: Any, shipped: list[str], tmp_path: Path) -> None:
    assert command("fetch", "--out", str(tmp_path / "m.bin")).code == 0
    assert (tmp_path / "m.bin").read_bytes() == b"weights"
    again = command("fetch", "--out", str(tmp_path / "m.bin"))
    assert again.code == 1 and "exists; --force replaces it" in again.err


def test_commands_that_need_a_trainable_say_that_such_a_run_has_none(
    command: Any, shipped: list[str], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_TRAINABLE", "ml.fashion_mnist:CLASSIFIER")
    before = {entry.key: entry.etag for entry in ledger.store.list("")}
    asked = command("predict", "picture.png")
    assert asked.code == 1 and "`catwalk fetch` downloads it" in asked.err
    assert command("migrate").code == 0
    assert {entry.key: entry.etag for entry in ledger.store.list("")} == before
    with pytest.raises(ConfigError, match="which no Trainable can rebuild"):
        of_run(ledger.run(shipped[0]).record)


def test_finish_says_how_a_run_ended(command: Any, shipped: list[str]) -> None:
    done = command("finish", shipped[0])
    assert done.code == 0 and "succeeded" in done.out


def test_the_exporter_serves_such_runs(ledger: Ledger, shipped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATWALK_SHIP")
    with catwalk.run("churn", catwalk.Binary()):
        pass
    told: list[Snapshot] = []
    LedgerReader(ledger.store).read(time.time() + 300, told.append)
    text = Exposition(Settings()).render(Facts(told[-1], True, {}, None, time.time() + 300)).decode()
    assert not told[-1].damaged
    assert f'catwalk_run_state{{model="churn",run_id="{shipped[1]}",state="succeeded"}} 1.0' in text
    assert 'state="untested"} 1.0' in text and "catwalk_champion_info" in text
    assert 'catwalk_runs_since_ship{model="churn"} 0.0' in text
    assert len(told[-1].points) >= 2


def test_each_model_is_due_by_its_own_schedule(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SHIP", "1")
    there = "0 * * * * Asia/Kolkata"  # whose full hours are half hours of UTC
    for model, options in (
        ("daily", {"every": "24h"}), ("hourly", {"cron": "0 * * * *"}), ("there", {"cron": there}), ("whenever", {}),
    ):  # fmt: skip
        catwalk.run(model, catwalk.Binary(), **options).close()
    told: list[Snapshot] = []
    LedgerReader(ledger.store).read(time.time(), told.append)
    text = Exposition(Settings()).render(Facts(told[-1], True, {}, None, time.time())).decode()
    due = [line for line in text.splitlines() if line.startswith("catwalk_next_run_due")]
    started = {found.model: found.started for found in told[-1].summaries}
    assert [float(line.split()[-1]) for line in due if 'model="daily"' in line] == [started["daily"] + 86_400]
    (hourly,) = [float(line.split()[-1]) for line in due if 'model="hourly"' in line]
    assert 0 < hourly - started["hourly"] <= 3_600 and hourly % 3_600 == 0
    (elsewhere,) = [line for line in due if 'model="there"' in line]
    assert f'schedule="{there}"' in elsewhere and float(elsewhere.split()[-1]) % 3_600 == 1_800
    kept = watched(ledger.store, "there")
    assert kept and kept.schedule == there
    assert not [line for line in due if "whenever" in line]


def test_a_ledger_keeps_what_shipping_runs_set_for_a_model(
    ledger: Ledger, shipped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = watched(ledger.store, "churn")
    assert first and (first.run_id, first.history) == (shipped[0], [])
    with catwalk.run("churn", catwalk.Binary(), owner="growth", every="24h") as run:
        pass
    second = watched(ledger.store, "churn")
    assert second and (second.run_id, second.owner, second.schedule) == (run.run_id, "growth", "every 24 h")
    assert [old["run_id"] for old in second.history] == [shipped[0]]
    monkeypatch.delenv("CATWALK_SHIP")
    catwalk.run("churn", catwalk.Binary(), owner="nobody").close()
    assert watched(ledger.store, "churn") == second


def test_the_cost_of_epochs_grows_with_their_number_alone(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    put = FileStore.put

    def counted(store: FileStore, key: str, body: bytes, **options: Any) -> str:
        written.append(len(body) if "/epochs" in key else 0)
        return put(store, key, body, **options)

    def cost(epochs: int) -> int:
        """Bytes, if each epoch is stored when it ends."""
        written.clear()
        with catwalk.run("churn", catwalk.Binary()) as run:
            for number in range(1, epochs + 1):
                run.epoch(number, train={"loss": 1.0}, validation={"auc": 0.5})
                run._session.journal.flush(time.monotonic() + 60)  # type: ignore[union-attr]
        return sum(written)

    monkeypatch.setattr(FileStore, "put", counted)
    monkeypatch.setattr(journal, "SEGMENT", 10)
    few, many = cost(100), cost(400)
    assert many < 6 * few
    assert sorted(len(ledger.run(found.run_id).training().epochs) for found in Summaries(ledger.store).read()) == [
        100, 400,
    ]  # fmt: skip


@pytest.mark.integration
def test_a_run_in_s3(s3_store: Store) -> None:
    with catwalk.run("churn", catwalk.Binary(), run_key="k") as run:
        run.epoch(1, train={"loss": 1.0})
        run.model(b"m")
        run.test(LABELS, scores(), keys=KEYS)
    stored = only(Ledger(s3_store))
    assert stored.run_id == run.run_id and run.decision
    assert stored.summary().state == "succeeded" and len(stored.training().epochs) == 1

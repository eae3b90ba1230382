"""The ledger: ids, numbers, and objects of which one of several writers wins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from catwalk.errors import CatwalkError, NotFoundError, RunConflictError, SupersededError
from catwalk.ledger.runs import RUN_ID, Fence, Ledger, Run, check_code, new_run_id, run_id_of_dag_run, seed_of
from catwalk.stages.lifecycle.opening import open_run
from catwalk.storage.store import Store
from ml.fashion_mnist import CLASSIFIER
from ml.fashion_mnist.config import RunConfig
from tests.support.runs import SMALL

WHEN = datetime(2026, 11, 23, 3, 0, 0, tzinfo=UTC)


def test_a_run_id_is_a_pure_function_of_the_dag_run() -> None:
    run_id = run_id_of_dag_run(WHEN, "fashion_training", "scheduled__x")
    assert RUN_ID.fullmatch(run_id)
    assert run_id.startswith("20261123T030000Z-")
    assert run_id == run_id_of_dag_run(
        WHEN.astimezone(timezone(timedelta(hours=5))), "fashion_training", "scheduled__x"
    )
    others = {
        run_id_of_dag_run(WHEN, "other", "scheduled__x"),
        run_id_of_dag_run(WHEN, "fashion_training", "scheduled__y"),
        run_id_of_dag_run(WHEN, "fashion_training", "scheduled__x", 1),
    }
    assert len(others | {run_id}) == 4


def test_new_run_ids_sort_by_time_and_differ() -> None:
    assert RUN_ID.fullmatch(new_run_id())
    assert new_run_id() != new_run_id()


def test_each_run_has_a_seed_of_its_own() -> None:
    assert seed_of("a") == seed_of("a")
    assert seed_of("a") != seed_of("b")


@pytest.mark.integration
class TestOnS3:
    def test_a_run_that_does_not_exist_is_one_line(self, ledger: Ledger) -> None:
        with pytest.raises(NotFoundError, match="there is no run 20261123T030000Z-00000000; `catwalk runs` lists"):
            _ = ledger.run("20261123T030000Z-00000000").record
        with pytest.raises(CatwalkError, match="is not a run id"):
            ledger.run("../champions/mlp")

    def test_the_same_run_opens_again_and_another_configuration_is_refused(self, ledger: Ledger) -> None:
        config = RunConfig.from_flat(SMALL)
        run_id = new_run_id()
        first = open_run(ledger, run_id, CLASSIFIER, config, "cli").record
        assert open_run(ledger, run_id, CLASSIFIER, config, "cli").record == first
        other = RunConfig.from_flat({**SMALL, "epochs": 9})
        with pytest.raises(RunConflictError, match=r"other parameters \(epochs 4 → 9\).*trigger a new one") as caught:
            open_run(ledger, run_id, CLASSIFIER, other, "cli")
        assert "\n" not in str(caught.value)

    def test_other_code_is_refused(self, ledger: Ledger) -> None:
        run = open_run(ledger, new_run_id(), CLASSIFIER, RunConfig.from_flat(SMALL), "cli")
        changed = dataclasses.replace(run.record, code_sha256="0" * 64)
        with pytest.raises(RunConflictError, match="started by other code"):
            ledger.create(changed)
        with pytest.raises(RunConflictError, match="trigger a new one"):
            check_code(run.record, "0" * 64)

    def test_attempts_that_start_at_once_get_different_numbers(self, new_run: Callable[..., Run]) -> None:
        run = new_run()
        with ThreadPoolExecutor(8) as pool:
            records = list(pool.map(lambda pid: run.start_attempt("train", 1.0, "host", pid), range(8)))
        assert sorted(record.number for record in records) == list(range(1, 9))

    def test_concurrent_changes_of_the_summary_lose_nothing(self, new_run: Callable[..., Run]) -> None:
        run = new_run()

        def add(_: int) -> None:
            run.update_summary(lambda summary: dataclasses.replace(summary, points_dropped=summary.points_dropped + 1))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(48)))
        summary = run.summary()
        assert summary is not None
        assert summary.points_dropped == 48

    def test_what_is_written_once_stays(self, new_run: Callable[..., Run]) -> None:
        run = new_run()
        dataset = run.dataset()
        assert dataset is not None
        assert run.put_once("dataset.json", dataclasses.replace(dataset, statistics={"pixel_mean": 9.0})) == dataset


@pytest.mark.integration
class TestFence:
    def fence(self, store: Store, attempt: int) -> Fence:
        return Fence(store, "fenced", attempt, lambda body: int(body.split(b":")[0]))

    def test_the_newer_attempt_takes_over_and_the_older_is_refused(self, s3_store: Store) -> None:
        old, new = self.fence(s3_store, 1), self.fence(s3_store, 2)
        old.write(b"1:a")
        new.write(b"2:a")
        with pytest.raises(SupersededError, match="attempt 1 was superseded by attempt 2"):
            old.write(b"1:b")
        new.write(b"2:b")
        assert s3_store.get("fenced").body == b"2:b"

    def test_an_older_attempt_that_wrote_in_between_is_replaced(self, s3_store: Store) -> None:
        old, new = self.fence(s3_store, 1), self.fence(s3_store, 2)
        old.write(b"1:a")
        new.etag = None  # it has looked before the older one wrote
        new.write(b"2:a")
        assert s3_store.get("fenced").body == b"2:a"

    def test_an_attempt_that_starts_late_finds_itself_superseded(self, s3_store: Store) -> None:
        self.fence(s3_store, 2).write(b"2:a")
        with pytest.raises(SupersededError):
            self.fence(s3_store, 1).write(b"1:a")

    def test_a_deleted_object_is_written_again(self, s3_store: Store) -> None:
        fence = self.fence(s3_store, 1)
        fence.write(b"1:a")
        s3_store.delete("fenced")
        fence.write(b"1:b")
        assert s3_store.get("fenced").body == b"1:b"

"""How a reference is made, kept and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catwalk
from catwalk.codec import from_json, to_json
from catwalk.errors import ConfigError, DamagedError, InputError, NotFoundError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.reference import FeatureReference, ReferenceRecord
from catwalk.ledger.runs import Ledger
from catwalk.service import reference
from catwalk.storage.opening import open_store
from tests.catwalk.service.conftest import made, table
from tests.catwalk.tracking.conftest import KEYS, LABELS, scores


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    monkeypatch.setenv("CATWALK_SHIP", "1")
    return Ledger(open_store())


def feature(record: ReferenceRecord, name: str) -> FeatureReference:
    return next(each for each in record.features if each.name == name)


def test_bins_hold_equal_shares_of_numbers_and_each_category() -> None:
    record = made(table(10_000), np.random.default_rng(1).random(10_000))
    assert len(feature(record, "age").edges) == 9
    assert all(900 < count < 1_100 for count in feature(record, "age").counts)
    assert feature(record, "country").categories == ["de", "fr", "it"]
    assert feature(record, "member").categories == ["False", "True"]
    assert record.examples == 10_000
    assert [(each.side, each.name) for each in record.features][-1] == ("prediction", "score")
    assert {each.floor for each in record.features} == {0.5}


def test_one_value_for_many_examples_makes_fewer_bins() -> None:
    values = np.r_[np.zeros(800), np.random.default_rng(0).random(200)]
    found = feature(made({"a": values}), "a")
    assert found.edges[0] == 0 and len(found.edges) == 3
    assert sum(found.counts) == 1_000


def test_missing_and_infinite_values_are_counted() -> None:
    found = feature(made({"a": np.r_[np.nan, np.nan, np.inf, np.arange(97)]}), "a")
    assert (found.missing, found.other, sum(found.counts)) == (2, 1, 97)
    assert found.examples[-2:] == [2, 1]


def test_fifty_columns_are_watched_and_the_others_named() -> None:
    random = np.random.default_rng(0)
    columns: dict[str, Any] = {f"c{number}": random.random(200) for number in range(55)}
    columns["name"] = [f"person {number}" for number in range(200)]
    record = made(columns)
    assert len(record.of("input")) == 50
    assert record.left_out == ["c50", "c51", "c52", "c53", "c54", "name"]
    assert record.columns == list(columns)


def test_an_array_has_numbered_columns() -> None:
    assert [each.name for each in made(np.random.default_rng(0).random((100, 2))).features] == ["x0", "x1"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "it has no features"),
        ({"inputs": {"a": [[1, 2], [3, 4]]}}, r"inputs\['a'\]: expected a column"),
        ({"inputs": np.zeros((2, 2, 2, 2, 2))}, "pictures: expected numbers"),
        ({"scores": ["a", "b"]}, "scores: expected numbers"),
        ({"inputs": {"a": [1.0]}, "floor": 0}, "floor: expected the smallest shift"),
    ],
)
def test_bad_examples_get_one_line(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as refused:
        made(**arguments)
    assert "\n" not in str(refused.value)


def test_it_is_read_as_it_was_written() -> None:
    record = made(table(), np.random.default_rng(0).random(1_000))
    assert from_json(ReferenceRecord, to_json(record)) == record


GOOD = FeatureReference("a", "input", [0.5], [], [3, 4])


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (replace(GOOD, edges=[1.0, 0.5], counts=[1, 1, 1]), "bins with the same name"),
        (replace(GOOD, edges=[], categories=["x", "x"]), "bins with the same name"),
        (replace(GOOD, edges=[float("nan")]), "edges that are not increasing numbers"),
        (replace(GOOD, counts=[1]), "but not one count of examples for each"),
        (replace(GOOD, counts=[1, -1]), "but not one count of examples for each"),
        (replace(GOOD, counts=[0, 0]), "but not one count of examples for each"),
        (replace(GOOD, dispersion=0.5), "a dispersion below 1"),
        (replace(GOOD, floor=0.0), "a floor that is not above 0"),
    ],
)
def test_a_damaged_reference_is_refused_in_a_line(bad: FeatureReference, complaint: str, tmp_path: Path) -> None:
    record = replace(made(table()), features=[bad])
    path = tmp_path / "reference.json"
    path.write_bytes(to_json(record))
    with pytest.raises(ConfigError, match=rf"its feature a has .*{complaint}|its feature a {complaint}") as refused:
        reference.of_file(path)
    assert "\n" not in str(refused.value)


def test_a_run_keeps_it_and_a_service_reads_the_champions(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.model(b"a model")
        stored = run.reference(table(2_000), scores(), floor=0.03)
        run.test(LABELS, scores(), keys=KEYS)
    assert stored and Champions(ledger.store).get("churn")
    found = reference.of_champion(ledger.store, "churn")
    assert found == stored
    assert found.run_id == run.run_id and feature(found, "age").floor == 0.03


def test_a_run_without_one_says_what_to_do(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as run:
        run.model(b"a model")
        run.test(LABELS, scores(), keys=KEYS)
    with pytest.raises(NotFoundError, match=r"has no reference; make one with run\.reference"):
        reference.of_champion(ledger.store, "churn")


def test_another_runs_reference_is_refused(ledger: Ledger) -> None:
    with catwalk.run("churn", catwalk.Binary()) as run:
        stored = run.reference(table())
    assert stored
    kept = ledger.run(run.run_id)
    reference.store(kept, replace(stored, run_id="20261123T030000Z-00000009"))
    with pytest.raises(DamagedError, match="it is that of run"):
        reference.of_run(kept)


def test_a_run_that_does_nothing_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_DISABLED", "1")
    with catwalk.run("churn", catwalk.Binary()) as run:
        assert run.reference(table()) is None

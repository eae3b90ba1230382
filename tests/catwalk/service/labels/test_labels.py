"""Labels that arrive late: which are stored, which predictions they join, and the metrics of each version and day."""

from __future__ import annotations

import gzip
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import catwalk
from catwalk.errors import ConfigError, InputError, NotFoundError
from catwalk.ledger.models.realised import realised as stored_record
from catwalk.ledger.records.realised import DayRecord, RealisedRecord, Score
from catwalk.problems.intervals import wilson
from catwalk.service.labels import expiry, realised
from catwalk.service.labels.arrival import Taken
from catwalk.storage.file_store import FileStore
from tests.support.logs import REFERENCE, VERSION, put_predictions, stored

ANIMALS = replace(REFERENCE, kind="multiclass", classes=["cat", "dog"])
NEXT = replace(ANIMALS, run_id="20261128T030000Z-00000002")


def day(ago: int = 0) -> str:
    return f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}"


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    (tmp_path / "ledger").mkdir()
    return FileStore((tmp_path / "ledger").as_uri())


def take(store: FileStore, given: Any) -> Taken:
    return catwalk.labels("churn", given, store)


def found(taken: Taken) -> RealisedRecord:
    assert taken.realised
    return taken.realised


def days(taken: Taken) -> dict[tuple[str, str], DayRecord]:
    return {(each.version, each.day): each for each in found(taken).days}


def test_accuracy_by_version_and_day_with_what_was_served(store: FileStore) -> None:
    put_predictions(store, day(1), {"a": "cat", "b": "dog", "c": "cat"}, ANIMALS, sampled_out=7, dropped=2)
    put_predictions(store, day(1), {"d": "cat"}, ANIMALS)
    put_predictions(store, day(), {"e": "dog", "f": "dog"}, ANIMALS)
    put_predictions(store, day(), {"g": "dog"}, NEXT)
    taken = take(store, {"a": "cat", "b": "cat", "d": "cat", "e": "dog", "g": "cat"})
    made = days(taken)
    first = made[VERSION, day(1)]
    assert (first.served, first.logged, first.sampled_out, first.dropped, first.lost) == (13, 4, 7, 2, 0)
    assert first.score == Score(3, pytest.approx(2 / 3), *wilson(2, 3))
    assert made[VERSION, day()].score == Score(1, 1.0, *wilson(1, 1))
    assert made[NEXT.run_id, day()].score == Score(1, 0.0, *wilson(0, 1))
    assert found(taken).windows[VERSION]["7d"] == Score(4, 0.75, *wilson(3, 4))
    assert found(taken).labels == {
        "conflicting": 0, "joined": 5, "repeated": 0, "revised": 0, "served_twice": 0, "unknown": 0, "unreadable": 0,
    }  # fmt: skip
    assert (found(taken).metric, found(taken).goal) == ("accuracy", "maximize")
    assert stored_record(store, "churn") == found(taken)


def test_labels_that_come_again_change_nothing_and_store_nothing(store: FileStore, tmp_path: Path) -> None:
    put_predictions(store, day(), {"a": "cat", "b": "dog"}, ANIMALS)
    file = tmp_path / "labels.csv"
    file.write_text("id,label,time\na,cat,2026-11-01\nb,cat,\nb,cat,\n")
    first = take(store, file)
    keys = [entry.key for entry in store.list("labels/")]
    again = take(store, file)
    assert (first.new, first.known, again.new, again.known) == (2, 1, 0, 3)
    assert [entry.key for entry in store.list("labels/")] == keys
    assert replace(found(again), updated=0) == replace(found(first), updated=0)


def test_in_whatever_order_labels_and_predictions_come_the_outcome_is_the_same(tmp_path: Path) -> None:
    batches: Sequence[Any] = (
        [("a", "cat", 100.0)], [("a", "dog", 200.0), ("b", "dog", 100.0)], [("b", "cat", 100.0)], "predictions",
    )  # fmt: skip
    outcomes = set()
    for number, order in enumerate(itertools.permutations(batches)):
        (tmp_path / str(number)).mkdir()
        store = FileStore((tmp_path / str(number)).as_uri())
        put_predictions(store, day(3), {"other": "cat"}, ANIMALS)  # tells what the labels are
        for batch in order:
            if batch == "predictions":
                put_predictions(store, day(), {"a": "dog", "b": "dog"}, ANIMALS)
            else:
                take(store, batch)
        made = found(take(store, ()))
        outcomes.add((made.days[-1].score, made.labels["conflicting"], made.labels["unknown"]))
    assert outcomes == {(Score(1, 1.0, *wilson(1, 1)), 1, 0)}, "the later label of a counts, and neither of b"


def test_labels_wait_for_predictions_that_are_on_their_way(store: FileStore) -> None:
    put_predictions(store, day(1), {"a": "cat"}, ANIMALS)
    early = take(store, {"a": "cat", "b": "dog"})
    assert found(early).labels["unknown"] == 1
    put_predictions(store, day(), {"b": "dog"}, ANIMALS)
    late = take(store, ())
    assert found(late).labels["unknown"] == 0 and days(late)[VERSION, day()].score.labelled == 1


def test_a_contradiction_counts_for_nobody_until_a_later_time_decides(store: FileStore) -> None:
    put_predictions(store, day(), {"a": "cat", "b": "cat"}, ANIMALS)
    contradicted = take(store, [("a", "cat"), ("a", "dog"), ("b", "cat")])
    assert found(contradicted).labels["conflicting"] == 1
    assert days(contradicted)[VERSION, day()].score.labelled == 1
    assert take(store, [("a", "cat"), ("a", "dog")]).new == 0, "nor does it grow"
    decided = take(store, [("a", "dog", time.time())])
    assert found(decided).labels["conflicting"] == 0
    assert days(decided)[VERSION, day()].score == Score(2, 0.5, *wilson(1, 2))


def test_a_time_is_compared_as_it_is_stored(store: FileStore) -> None:
    put_predictions(store, day(), {"a": "cat"}, ANIMALS)
    contradiction = [("a", "cat", 1e9 + 0.1234), ("a", "dog", 1e9 + 0.1234)]
    assert [take(store, contradiction).new for _ in range(3)] == [2, 0, 0]


def test_of_predictions_with_one_id_the_first_counts(store: FileStore) -> None:
    put_predictions(store, day(), {"a": "dog"}, ANIMALS)
    put_predictions(store, day(1), {"a": "cat"}, ANIMALS)
    made = take(store, {"a": "cat"})
    assert days(made)[VERSION, day(1)].score.labelled == 1 and days(made)[VERSION, day()].score.labelled == 0
    assert found(made).labels["served_twice"] == 1


def test_rows_that_are_wrong_are_named_and_the_others_taken(store: FileStore, tmp_path: Path) -> None:
    put_predictions(store, day(), {"a": "cat", "b": "dog"}, ANIMALS)
    file = tmp_path / "labels.csv"
    rows = ["a,cat,", "b,horse,", ",dog,", "c,dog,yesterday", "d,dog,9999-01-01", "e,,", f"{'x' * 300},dog,", "f,1,0"]
    file.write_text("\ufeffID, Label ,time\n" + "\n".join(rows) + "\n")
    taken = take(store, file)
    assert (taken.new, taken.waiting, len(taken.refused)) == (2, 1, 5)
    assert taken.refused[0] == "line 3: label of id b: expected one of cat, dog, or its number below 2; got 'horse'"
    assert taken.refused[1].startswith(
        "line 4: id: expected printable text of 1 to 200 characters, a whole number or a UUID; got ''"
    )
    assert taken.refused[2].startswith("line 5: time: expected one such as 2026-11-27T14:00:00Z, or Unix seconds; got")
    assert taken.refused[3].startswith("line 6: time of id d: expected a Unix time that is not in the future")
    assert [line["label"] for line in stored(store, "labels")] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "its first line has nothing"),
        (b"id,truth\na,1\n", "expected CSV in UTF-8 with the columns id and label"),
        (b"id,label,label\na,1,2\n", "its first line has id, label, label"),
        (b"id,label\na,cat,extra\n", "line 2: expected 2 fields; got another number"),
        (b"id,label\na\n", "line 2: expected 2 fields; got another number"),
        (b"id,label\n\xff,cat\n", "can't decode byte"),
        (b'id,label\n"a,cat\n', "unexpected end of data"),
        (b"id,label\na,horse\n", "none of the labels can be taken; line 2: label of id a"),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_line_and_nothing_is_stored(
    store: FileStore, tmp_path: Path, body: bytes, told: str
) -> None:
    put_predictions(store, day(), {"a": "cat"}, ANIMALS)
    (tmp_path / "labels.csv").write_bytes(body)
    with pytest.raises(InputError) as error:
        take(store, tmp_path / "labels.csv")
    assert told in str(error.value) and "\n" not in str(error.value)
    assert stored(store, "labels") == []


def test_what_is_no_model_or_no_file_is_told(store: FileStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="churn has neither a champion with a reference nor a log, so it"):
        take(store, {"a": "cat"})
    put_predictions(store, day(), {"a": "cat"}, ANIMALS)
    with pytest.raises(InputError, match=r"none\.csv: expected CSV"):
        take(store, tmp_path / "none.csv")
    with pytest.raises(InputError, match="row 0: expected id, label and perhaps time; got 'ab'"):
        take(store, ["ab"])
    with pytest.raises(ConfigError, match="model: expected a name"):
        catwalk.labels("a/b", {}, store)


def test_yes_or_no_is_told_by_its_log_loss(store: FileStore) -> None:
    put_predictions(store, day(), {"a": 0.9, "b": 0.2, "c": 1.0, "broken": None, "beyond": 7.0})
    taken = take(store, {"a": "yes", "b": 0, "c": "1", "broken": "no", "beyond": "no"})
    losses = -np.log([0.9, 0.8, 1 - 1e-6])
    half = 1.959963984540054 * losses.std(ddof=1) / 3**0.5
    score = days(taken)[VERSION, day()].score
    assert (score.labelled, score.value) == (3, pytest.approx(losses.mean()))
    assert (score.low, score.high) == (pytest.approx(losses.mean() - half), pytest.approx(losses.mean() + half))
    assert (found(taken).metric, found(taken).goal, found(taken).labels["unreadable"]) == ("log_loss", "minimize", 2)


def test_a_number_is_told_by_its_absolute_error(store: FileStore) -> None:
    numbers = replace(REFERENCE, kind="regression", classes=[])
    put_predictions(store, day(), {"a": 10.0, "b": -3.5}, numbers)
    taken = take(store, [("a", "12"), ("b", -3), ("c", "nan"), ("d", "1e999"), ("e", True)])
    assert len(taken.refused) == 3
    assert days(taken)[VERSION, day()].score.value == pytest.approx(1.25)
    assert found(taken).metric == "mae"


def test_classes_without_names_and_in_other_scripts(store: FileStore) -> None:
    put_predictions(store, day(1), {"a": "0", "b": "12"}, replace(ANIMALS, classes=[]))
    assert days(take(store, {"a": 0, "b": "11"}))[VERSION, day(1)].score.value == 0.5
    store.delete(next(iter(store.list("predictions/"))).key)
    put_predictions(store, day(), {"ключ": "猫"}, replace(ANIMALS, classes=["猫", "犬"]))
    assert days(take(store, {"ключ": "猫"}))[VERSION, day()].score == Score(1, 1.0, *wilson(1, 1))


def test_what_a_machine_has_lost_is_told_and_damage_stops_nothing(store: FileStore) -> None:
    key = put_predictions(store, day(), {"a": "cat"}, ANIMALS)
    before = store.get(key).body
    lines = gzip.decompress(before).splitlines(keepends=True)
    torn = lines[0] + b'{"id":"b","time":1\n' + lines[1].replace(b"[1,0,0]", b"[3,0,0]") + b"[]\n{}\n"
    store.put(key, gzip.compress(torn))
    store.put(f"predictions/churn/{day()}/broken.jsonl.gz", before[:40])
    store.put(f"labels/churn/{day()}/broken.jsonl.gz", gzip.compress(b'{"model":"churn"}\n{"id":5}\nnull\n'))
    taken = take(store, {"a": "cat"})
    (record,) = found(taken).days
    assert (record.served, record.logged, record.lost, record.score.labelled) == (3, 1, 2, 1)
    assert found(taken).labels["unreadable"] > 0


def test_pruning_keeps_the_figures_and_the_last_days(store: FileStore) -> None:
    put_predictions(store, day(40), {"old": "cat"}, ANIMALS)
    put_predictions(store, day(), {"new": "cat"}, ANIMALS)
    before = found(take(store, {"old": "cat", "new": "dog"}))
    going = expiry.expired(store, 30, time.time())
    assert [key.split("/")[2] for key in going] == [day(40)]
    expiry.remove(store, going, time.time())
    after = found(take(store, ()))
    assert after.days == before.days and after.windows == before.windows
    expiry.remove(store, expiry.expired(store, 1, time.time() + 3 * 86_400), time.time())
    assert stored(store, "predictions") == stored(store, "labels") == []
    emptied = realised.join(store, "churn", time.time())
    assert emptied.days == before.days and emptied.received == before.received


def test_what_comes_late_of_a_pruned_day_changes_no_figures(store: FileStore) -> None:
    for ago in (60, 50, 40, 0):
        put_predictions(store, day(ago), {f"{ago}-a": "cat", f"{ago}-b": "dog"}, ANIMALS)
    before = found(take(store, {f"{ago}-a": "cat" for ago in (60, 50, 40, 0)}))
    expiry.remove(store, expiry.expired(store, 30, time.time()), time.time())
    put_predictions(store, day(60), {"late": "dog"}, ANIMALS)
    put_predictions(store, day(50), {"late-too": "dog"}, NEXT)
    after = days(take(store, {"late": "dog"}))
    other = after.pop((NEXT.run_id, day(50)))
    assert list(after.values()) == before.days and other.logged == 1, "which is news, of another version"


def test_a_join_while_predictions_are_pruned_changes_no_figures(store: FileStore) -> None:
    for part in range(3):
        put_predictions(store, day(40), {f"{part}": "cat"}, ANIMALS, sampled_out=part)
    before = found(take(store, {"0": "cat", "1": "dog"}))
    going = expiry.expired(store, 30, time.time())
    for key in going:
        store.delete(key)
        assert realised.join(store, "churn", time.time()).days == before.days
    assert len(going) == 3


def test_pruning_first_joins_what_has_come_since_the_last_join(store: FileStore) -> None:
    put_predictions(store, day(40), {"a": "cat"}, ANIMALS)
    take(store, {"a": "cat", "b": "dog"})
    put_predictions(store, day(40), {"b": "cat"}, ANIMALS)
    put_predictions(store, day(40), {"c": "cat"}, replace(ANIMALS, model="demand"))
    store.put(f"labels/nobody/{day(40)}/alone.jsonl.gz", b"")
    expiry.remove(store, expiry.expired(store, 30, time.time()), time.time())
    assert stored(store, "predictions") == []
    (record,) = realised.join(store, "churn", time.time()).days
    assert (record.logged, record.score) == (2, Score(2, 0.5, *wilson(1, 2)))
    other = stored_record(store, "demand")
    assert other and [each.logged for each in other.days] == [1]


class Interrupted(FileStore):
    """After one of its requests, someone else comes in between."""

    at = 0
    between: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.on_operation = self._count

    def _count(self, operation: str, seconds: float, failed: bool) -> None:
        self.at -= 1
        if self.at == 0 and self.between:
            self.between()


def test_a_join_that_prune_overtakes_loses_no_label(tmp_path: Path) -> None:
    """At each request of a join in turn, a label comes in, is joined, and the predictions are pruned."""
    for at in itertools.count(1):
        (tmp_path / str(at)).mkdir()
        url = (tmp_path / str(at)).as_uri()
        quiet, came = FileStore(url), list[bool]()
        put_predictions(quiet, day(40), {"a": "cat", "b": "cat"}, ANIMALS)
        take(quiet, {"a": "cat"})

        def prune(quiet: FileStore = quiet, came: list[bool] = came) -> None:
            came.append(True)
            take(quiet, {"b": "dog"})
            expiry.remove(quiet, expiry.expired(quiet, 30, time.time()), time.time())

        store = Interrupted(url)
        store.at, store.between = at, prune
        realised.join(store, "churn", time.time())
        if not came:
            break
        assert stored(quiet, "predictions") == []
        record = stored_record(quiet, "churn")
        assert record and [each.score.labelled for each in record.days] == [2], f"at request {at}"
    assert at > 8


def test_nothing_of_the_inputs_is_kept(store: FileStore) -> None:
    put_predictions(store, day(), {"a": "cat"}, ANIMALS)
    take(store, {"a": "cat"})
    assert {name for line in stored(store, "labels") for name in line} == {"id", "label", "time", "received"}

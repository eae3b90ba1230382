"""The prediction log: what is said to be logged outlives the process, and nothing about it fails the service."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

import catwalk
from catwalk.errors import CatwalkError, ConfigError, InputError, StoreError, StoreUnavailableError
from catwalk.service.log import book, lines, prediction_log, shipping
from catwalk.service.log.book import Book
from catwalk.service.log.lines import Answer, Header, Tally
from catwalk.service.log.prediction_log import PredictionLog
from catwalk.storage.file_store import FileStore
from tests.support.logs import REFERENCE, VERSION, stored
from tests.support.servers import wait_until

ROOT = Path(__file__).parents[4]
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
Made = Callable[..., catwalk.PredictionMonitor]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    (tmp_path / "ledger").mkdir()
    url = (tmp_path / "ledger").as_uri()
    monkeypatch.setattr(prediction_log, "PATIENCE_SECONDS", 60.0)  # other programs may keep the writer from its core
    monkeypatch.setenv("CATWALK_STORE", url)
    return FileStore(url)


@pytest.fixture
def monitor(tmp_path: Path, store: FileStore) -> Iterator[Made]:
    made: list[catwalk.PredictionMonitor] = []

    def make(**options: Any) -> catwalk.PredictionMonitor:
        registry = CollectorRegistry()
        options.setdefault("log", tmp_path / "log")
        made.append(catwalk.PredictionMonitor("churn", reference=REFERENCE, registry=registry, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def predict(monitor: catwalk.PredictionMonitor, id: Any = "", output: Any = 0.75) -> Any:
    with monitor.prediction(id=id) as seen:
        seen.output = output
    return seen


def logged(store: FileStore) -> set[str]:
    return {line["id"] for line in stored(store, "predictions") if "id" in line}


def tally(store: FileStore) -> Counter[str]:
    """The last one of each segment, added up; the tests' logs have one segment a process."""
    last = [line["tally"] for line in stored(store, "predictions") if "tally" in line][-1:]
    return Counter(dict(zip(("logged", "sampled_out", "dropped"), *last, strict=True)))


def started(command: list[str], said: Path) -> subprocess.Popen[bytes]:
    with said.open("w") as file:
        return subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=file)


@pytest.mark.parametrize("write", ["predictions", "labels", "ship"])
def test_a_kill_before_and_after_every_system_call_loses_nothing_acknowledged(tmp_path: Path, write: str) -> None:
    command = [sys.executable, str(ROOT / "tests" / "support" / "killed_logs.py"), str(tmp_path / "place"), write]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=300)
    if "OSError: [Errno 1] ptrace" in done.stderr:
        pytest.skip("NOT TESTED: a kill at each system call, because this user may not trace processes")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) > 40


@pytest.mark.integration
def test_services_that_share_a_folder_and_are_killed_lose_nothing_acknowledged(
    tmp_path: Path, store: FileStore, monitor: Made
) -> None:
    command = [sys.executable, str(ROOT / "tests" / "support" / "predicting_service.py"), str(tmp_path / "log")]
    said: list[list[str]] = []
    for number in range(3):
        files = [tmp_path / f"said-{number}-{name}" for name in "ab"]
        services = [started([*command, f"{number}{file.name[-1]}"], file) for file in files]
        for file in files:
            wait_until(lambda file=file: file.stat().st_size > 2_000, "predictions")
        for service in services:
            service.kill()
            service.wait()
        said += [line.split() for file in files for line in file.read_text().rpartition("\n")[0].splitlines()]
    monitor().close()  # the next process on this folder
    assert list((tmp_path / "log").glob("*.jsonl")) == []
    assert {id_ for kind, id_ in said if kind == "prediction"} <= logged(store)
    assert {id_ for kind, id_ in said if kind == "label"} <= {line["id"] for line in stored(store, "labels")}


def test_what_is_logged_and_nothing_else(store: FileStore, monitor: Made) -> None:
    service = monitor()
    with service.predictions({"age": [41, 42]}, ids=["a", 7]) as seen:
        seen.output = [0.75, None]
    assert seen.ids == ["a", "7"] and seen.each_logged == [True, True] and seen.logged
    service.close()
    found = stored(store, "predictions")
    assert [(line["id"], line["answer"], line["tally"]) for line in found] == [
        ("a", 0.75, [1, 0, 0]),
        ("7", None, [2, 0, 0]),
    ]
    assert {name for line in found for name in line} == {"id", "time", "answer", "tally"}, "no inputs"
    (entry,) = store.list("predictions/churn/")
    assert entry.key.endswith(".jsonl.gz")


def test_ids_and_labels_may_be_numbers_of_numpy_and_ids_uuids(store: FileStore, monitor: Made) -> None:
    service, order = monitor(), uuid.uuid4()
    for id_ in (np.int64(17), np.uint8(3), order):
        assert predict(service, id=id_).logged
    service.label(np.array([17, 3]), np.array([1, 0], np.uint8), np.array([5, 6]))
    service.label([order], [np.bool_(True)], [np.float32(7)])
    service.close()
    assert logged(store) == {"17", "3", str(order)}
    assert {line["id"]: (line["label"], line["time"]) for line in stored(store, "labels")} == {
        "17": ("yes", 5.0), "3": ("no", 6.0), str(order): ("yes", 7.0)
    }  # fmt: skip


def test_an_id_that_cannot_be_one_is_reported_once(
    store: FileStore, monitor: Made, caplog: pytest.LogCaptureFixture
) -> None:
    service = monitor()
    for id_ in (17.0, True, np.bool_(True), 10**5_000, [1], object()):
        assert not predict(service, id=id_).logged
    assert service.log_counts().dropped == 6
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("a prediction is not logged: its id is neither printable text of 1 to 200 characters nor")


def test_classes_are_logged_by_name_with_their_confidence(store: FileStore, monitor: Made, tmp_path: Path) -> None:
    from tests.catwalk.service.conftest import made

    problem = catwalk.Multiclass(("cat", "dog"))
    reference = made(scores=[[0.9, 0.1], [0.2, 0.8]], problem=problem)
    service = catwalk.PredictionMonitor(
        "churn", reference=reference, registry=CollectorRegistry(), log=tmp_path / "log"
    )
    for output in ([0.25, 0.75], 0, "dog", [1.0, 2.0, 3.0]):
        predict(service, output=output)
    service.close()
    answers = [(line["answer"], line.get("confidence")) for line in stored(store, "predictions")]
    assert answers == [("dog", 0.75), ("cat", None), ("dog", None), (None, None)]


def test_an_error_is_no_prediction(store: FileStore, monitor: Made) -> None:
    service = monitor()
    with pytest.raises(ZeroDivisionError), service.prediction(id="a") as seen:
        seen.output = 1 / 0
    assert not seen.logged
    service.close()
    assert stored(store, "predictions") == []


def test_without_a_log_nothing_is_logged() -> None:
    service = catwalk.PredictionMonitor("churn", reference=REFERENCE, registry=CollectorRegistry())
    seen = predict(service, id="a")
    assert (seen.logged, seen.id) == (False, "")
    with pytest.raises(ConfigError, match="no log to keep labels in"):
        service.label(["a"], ["yes"])


def test_served_is_logged_and_sampled_out_and_dropped(store: FileStore, monitor: Made) -> None:
    service = monitor(sample=0.3)
    logs = {id_: predict(service, id=id_).logged for id_ in map(str, range(500))}
    for bad in ("", " ", "two\nlines", "x" * 201, "\ud800"):
        with service.predictions(ids=[bad]) as seen:
            seen.output = [0.5]
        assert not seen.logged
    counts = service.log_counts()
    service.close()
    assert {id_ for id_, is_logged in logs.items() if is_logged} == logged(store)
    assert 100 < counts.logged < 200
    text = generate_latest(service._registry).decode()
    assert f'catwalk_service_log_total{{model="churn",outcome="logged",version="{VERSION}"}} {counts.logged}.0' in text
    assert counts.served == 505 and counts.dropped >= 5
    assert tally(store) == Counter(vars(counts))
    again = monitor(sample=0.3)
    assert {id_ for id_ in logs if predict(again, id=id_).logged} == logged(store), "other replicas choose the same"


def test_a_ledger_that_is_away_fills_the_folder_and_no_more(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise StoreError("the store does not answer")

    monkeypatch.setattr(FileStore, "put", away)
    log = PredictionLog(tmp_path / "log", store, most_bytes=20_000)
    logs = [log.log(REFERENCE, VERSION, [Answer(str(number), 1.0, 0.5)])[0] for number in range(1_000)]
    assert logs[:50] == [True] * 50 and logs[-50:] == [False] * 50
    with pytest.raises(CatwalkError, match="wait for the ledger, and 20,000 may; send them again"):
        log.label("churn", [])
    log.close()
    assert sum(path.stat().st_size for path in (tmp_path / "log").iterdir()) < 21_000
    counts = log.counts(VERSION)
    assert counts.logged == sum(logs) and counts.served == 1_000
    monkeypatch.undo()
    PredictionLog(tmp_path / "log", store).close()
    assert len(logged(store)) == sum(logs)
    assert tally(store) == Counter(vars(counts)), "what was dropped is counted, too"


@pytest.mark.parametrize("truncate", ["os.ftruncate", "refused"])
def test_a_disk_that_takes_no_more_leaves_whole_lines_and_fails_no_one(
    tmp_path: Path, store: FileStore, truncate: str
) -> None:
    program = f"""
import os, resource
def refused(*_): raise OSError("read-only now")
os.ftruncate = {truncate}
from pathlib import Path
from catwalk.service.log.lines import Answer
from catwalk.service.log import prediction_log
from catwalk.service.log.prediction_log import PredictionLog
from catwalk.storage.file_store import FileStore
from tests.support.logs import REFERENCE, VERSION
prediction_log.PATIENCE_SECONDS = 60
log = PredictionLog(Path({str(tmp_path / "log")!r}), FileStore({store.url!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
logs = [log.log(REFERENCE, VERSION, [Answer(str(number), 1.0, 0.5)])[0] for number in range(200)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
logs += log.log(REFERENCE, VERSION, [Answer("later", 1.0, 0.5)])
log.close()
print(sum(logs), logs[-2:])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=1)[1].strip() == "[False, True]"
    assert done.stderr.count("predictions are not logged") == 1, "once, not a line a prediction"
    assert len(logged(store)) == int(done.stdout.split()[0])
    assert tally(store)["dropped"] == 201 - int(done.stdout.split()[0])


def test_a_disk_that_hangs_costs_one_wait_and_what_it_writes_later_counts(
    store: FileStore, monitor: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on, write = threading.Event(), threading.Event(), Book.log

    def slow(*given: Any) -> None:
        hangs.set()
        assert goes_on.wait(60)
        write(*given)

    monkeypatch.setattr(Book, "log", slow)
    monkeypatch.setattr(prediction_log, "PATIENCE_SECONDS", 0.025)
    monkeypatch.setattr(prediction_log, "STUCK_SECONDS", 0.025)
    service = monitor()
    assert not predict(service, id="hangs").logged
    assert hangs.is_set()
    time.sleep(prediction_log.STUCK_SECONDS)
    waited = threading.Event()
    monkeypatch.setattr(prediction_log.threading.Event, "wait", lambda *_: waited.set())
    assert not predict(service, id="dropped").logged and not waited.is_set(), "no one waits for it any more"
    monkeypatch.undo()
    goes_on.set()
    wait_until(lambda: service.log_counts().served == 2)
    service.close()
    assert logged(store) == {"hangs"}
    assert (service.log_counts().logged, service.log_counts().dropped) == (1, 1)


def test_what_is_logged_is_on_the_disk_a_second_later_and_in_the_ledger_when_its_segment_is_old(
    tmp_path: Path, store: FileStore, monitor: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (synced.append(str(Path(f"/proc/self/fd/{file}").readlink())), fsync(file))
    )
    service = monitor()
    predict(service, id="first")
    (segment,) = (tmp_path / "log").glob("*.jsonl")
    wait_until(lambda: str(segment) in synced)
    assert stored(store, "predictions") == [] and segment.exists()
    monkeypatch.setattr(book, "SEGMENT_SECONDS", 0.0)
    wait_until(lambda: logged(store) == {"first"})
    wait_until(lambda: not segment.exists())
    predict(service, id="second")
    wait_until(lambda: logged(store) == {"first", "second"})


def test_a_segment_ends_with_its_day(store: FileStore, tmp_path: Path) -> None:
    pages = Book(tmp_path, 2**20)
    header = Header("churn", "2026-11-27", VERSION, "binary", ["no", "yes"])
    pages.log(header, [Answer("a", 1.0, 0.5)])
    assert not pages.keep("2026-11-27") and shipping.ship(tmp_path, store) == 0
    pages.note(header, Tally(dropped=2))
    assert pages.keep("2026-11-28") and shipping.ship(tmp_path, store) == 1
    assert tally(store) == Counter(logged=1, sampled_out=0, dropped=2)


def test_a_segment_that_is_torn_or_foreign_stops_no_other(tmp_path: Path, store: FileStore, monitor: Made) -> None:
    service = monitor()
    predict(service, id="good")
    service.close()
    folder = tmp_path / "log"
    (entry,) = store.list("predictions/")
    body = gzip.decompress(store.get(entry.key).body)
    store.delete(entry.key)
    (folder / "torn.jsonl").write_bytes(body + b'{"id":"torn","ti')
    (folder / "zeros.jsonl").write_bytes(b"\0" * 500 + b"\n{}\n")
    (folder / "empty.jsonl").touch()
    assert shipping.ship(folder, store) == 1
    assert [found.key for found in store.list("predictions/")] == [entry.key], "as if it were not torn"
    assert [path.name for path in sorted(folder.iterdir())] == [".writable", "zeros.damaged"]


def written(folder: Path, *names: str) -> None:
    """Segments of one prediction each, that no one writes to any more."""
    for name in names:
        pages = Book(folder, 2**20)
        pages.log(Header("churn", "2026-11-27", VERSION, "binary", ["no", "yes"]), [Answer(name, 1.0, 0.5)])
        pages.keep("2026-11-27", close=True)


def test_a_file_that_cannot_be_shipped_stops_no_other_and_is_named(tmp_path: Path, store: FileStore) -> None:
    for number, head in enumerate(
        ({"model": 5, "day": "2026-11-27"}, {"model": "churn", "day": 5}, {"model": "churn"})
    ):
        (tmp_path / f"{number}.jsonl").write_bytes(lines.encoded(head) + b"{}\n")
    (tmp_path / "folder.jsonl").mkdir()
    for path in tmp_path.glob("*.jsonl"):
        os.utime(path, (1, 1))  # the oldest go first
    written(tmp_path, "a", "b")
    for _ in range(2):
        with pytest.raises(IsADirectoryError, match=r"folder\.jsonl"):
            shipping.ship(tmp_path, store)
        written(tmp_path, "c")
    assert logged(store) == {"a", "b", "c"}
    assert sorted(path.name for path in tmp_path.glob("*.damaged")) == ["0.damaged", "1.damaged", "2.damaged"]


def test_a_ledger_that_is_away_is_asked_once_not_for_each_segment(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(_: FileStore, key: str, *__: Any) -> None:
        asked.append(key)
        raise StoreUnavailableError("the store does not answer")

    monkeypatch.setattr(FileStore, "put", away)
    written(tmp_path, "a", "b", "c")
    with pytest.raises(StoreUnavailableError):
        shipping.ship(tmp_path, store)
    assert len(asked) == 1 and len(list(tmp_path.glob("*.jsonl"))) == 3


def test_a_swap_while_predictions_are_under_way_logs_each_under_its_own_version(
    store: FileStore, monitor: Made
) -> None:
    service = monitor()
    with service.prediction(id="old") as seen:
        seen.output = 0.5
        service.swap(reference=REFERENCE, version="next")
    predict(service, id="new")
    service.close()
    versions = set()
    for entry in store.list("predictions/"):
        head, *others = map(json.loads, gzip.decompress(store.get(entry.key).body).splitlines())
        versions.add((head["version"], *(line["id"] for line in others)))
    assert versions == {(VERSION, "old"), ("next", "new")}


def test_after_its_end_a_log_takes_nothing_and_says_so(store: FileStore, monitor: Made) -> None:
    service = monitor()
    service.close()
    assert not predict(service).logged
    with pytest.raises(CatwalkError, match="is closed; send the labels again"):
        service.label(["a"], ["yes"])


def test_a_forked_child_logs_nothing_and_hangs_nowhere(store: FileStore, monitor: Made) -> None:
    service = monitor()
    child = os.fork()
    if not child:
        os._exit(int(predict(service).logged))
    assert os.waitpid(child, 0)[1] == 0


def test_a_folder_that_machines_share_or_nobody_can_write_to_is_refused(
    tmp_path: Path, monitor: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be written to"):
        monitor(log=tmp_path / "file")
    monkeypatch.setattr(prediction_log, "shared_kind", lambda folder: "nfs4")
    with pytest.raises(ConfigError, match="is on nfs4, which other machines may share"):
        monitor()
    for share in (-0.1, 1.1, float("nan"), True, "all"):
        with pytest.raises(ConfigError, match="sample: expected a share from 0 to 1"):
            monitor(sample=share)


@pytest.mark.parametrize(
    ("ids", "labels", "times", "told"),
    [
        (["a", "b"], ["yes"], None, "expected as many ids, labels and times; got 2, 1 and 2"),
        (
            ["a", ""],
            ["yes", "no"],
            None,
            "id: expected printable text of 1 to 200 characters, a whole number or a UUID; got ''",
        ),
        ([None], ["yes"], None, "id: expected printable text"),
        (["a"], ["perhaps"], None, "label of id a: expected one of no, yes, or its number below 2; got 'perhaps'"),
        (["a"], [2], None, "label of id a"),
        (["a"], [np.int64(2)], None, "label of id a"),
        (["a"], [np.float64(1)], None, "label of id a"),
        ([1.0], ["yes"], None, "id: expected printable text of 1 to 200 characters, a whole number or a UUID; got 1.0"),
        ([True], ["yes"], None, "id: expected printable text"),
        (["a"], [["yes"]], None, "label of id a"),
        (["a"], ["yes"], [float("nan")], "time of id a: expected a Unix time that is not in the future; got nan"),
        (["a"], ["yes"], [time.time() + 200_000], "time of id a"),
        (["a"], ["yes"], ["today"], "time of id a"),
        (["a"], ["yes"], [10**400], "time of id a"),
        (["a"], ["yes"], [np.bool_(True)], "time of id a"),
    ],
)
def test_labels_that_are_none_are_refused_in_a_line(
    store: FileStore, monitor: Made, ids: Any, labels: Any, times: Any, told: str
) -> None:
    service = monitor()
    with pytest.raises(InputError) as error:
        service.label(ids, labels, times)
    assert told in str(error.value) and "\n" not in str(error.value)
    service.close()
    assert stored(store, "labels") == []


def test_labels_are_on_the_disk_when_the_call_returns(
    tmp_path: Path, store: FileStore, monitor: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = monitor()
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (synced.append(str(Path(f"/proc/self/fd/{file}").readlink())), fsync(file))
    )
    service.label(["a", 2], [True, "no"], [5, 6.5])
    (segment,) = [str(path) for path in (tmp_path / "log").glob("*.jsonl")]
    assert str(tmp_path / "log") in synced and synced[-1] == segment
    service.close()
    assert [(line["id"], line["label"], line["time"]) for line in stored(store, "labels")] == [
        ("a", "yes", 5.0),
        ("2", "no", 6.5),
    ]

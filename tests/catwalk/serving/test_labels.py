"""A real server that logs predictions and stores labels, and is killed or stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from catwalk.environment.cpus import usable_cpus
from catwalk.ledger.runs import Run
from stack.settings import PROJECT
from tests.support.logs import stored
from tests.support.servers import wait_until
from tests.support.serving import Server, logged, serving

pytestmark = pytest.mark.integration

PICTURE = [[0] * 8] * 8
IDS = ["a", "b", "猫"]


@pytest.fixture
def logging(versions: list[Run], tmp_path: Path) -> Iterator[Server]:
    """A server that logs into its own folder."""
    with serving("shapes", "--log", str(tmp_path / "log")) as server:
        wait_until(lambda: server.get("/readyz").status_code == 200, "a version")
        yield server


def lines(run: Run, kept: str) -> list[dict[str, Any]]:
    return stored(run.store, kept, "shapes")


def predictions(server: Server, body: Any) -> Any:
    """Predictions that the log has taken."""
    return logged(lambda: server.post("/predict", json=body).json())["predictions"]


def test_what_it_says_is_logged_and_stored_reaches_the_ledger_when_it_ends(
    logging: Server, versions: list[Run]
) -> None:
    found = predictions(logging, {"inputs": [PICTURE] * 3, "ids": IDS})
    assert [one["id"] for one in found] == IDS
    [made] = predictions(logging, {"inputs": PICTURE})
    assert len(made["id"]) == 32, "an id that the log made, for a later label"
    told = {"ids": [*IDS, made["id"]], "labels": ["bar", "blob", 2, "cross"], "times": [1.0, 2, 3, 4.5]}
    assert logging.post("/labels", json=told).json() == {"stored": 4}
    assert logging.stop() == 0
    assert {line["id"] for line in lines(versions[0], "predictions")} >= {*IDS, made["id"]}
    assert {line["id"]: line["label"] for line in lines(versions[0], "labels")} == {
        "a": "bar", "b": "blob", "猫": "cross", made["id"]: "cross"
    }  # fmt: skip


def test_what_it_has_said_to_be_logged_survives_its_kill(versions: list[Run], tmp_path: Path) -> None:
    arguments = ("shapes", "--log", str(tmp_path / "log"))
    with serving(*arguments) as server:
        wait_until(lambda: server.get("/readyz").status_code == 200, "a version")
        ids = [f"killed-{number}" for number in range(100)]
        answer = server.post("/predict", json={"inputs": [PICTURE] * 100, "ids": ids}).json()
        kept = {one["id"] for one in answer["predictions"] if one["logged"]}
        assert server.post("/labels", json={"ids": ids[:1], "labels": ["bar"]}).status_code == 200
        server.process.kill()
        server.process.wait()
    with serving(*arguments) as server:
        wait_until(lambda: kept <= {line["id"] for line in lines(versions[0], "predictions")}, "the log in the ledger")
        wait_until(lambda: "killed-0" in {line["id"] for line in lines(versions[0], "labels")}, "the label")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"ids": ["a"]}, "the lists ids and labels"),
        ({"ids": "a", "labels": "b"}, "the lists ids and labels"),
        ({"ids": [], "labels": []}, "1 to 1,000; got 0"),
        ({"ids": ["a"] * 10_000, "labels": ["bar"] * 10_000}, "1 to 1,000; got 10,000"),
        ({"ids": ["a", "b"], "labels": ["bar"]}, "as many ids, labels and times"),
        ({"ids": ["a"], "labels": ["circle"]}, "expected one of bar, blob, cross"),
        ({"ids": [["a"]], "labels": ["bar"]}, "expected printable text"),
        ({"ids": ["a"], "labels": ["bar"], "times": [1e99]}, "expected a Unix time"),
        ({"ids": ["a"], "labels": ["bar"], "when": [1]}, "the lists ids and labels"),
    ],
)
def test_labels_that_are_none_get_one_sentence(logging: Server, body: dict[str, Any], said: str) -> None:
    answer = logging.post("/labels", json=body)
    assert answer.status_code == 422 and said in answer.json()["error"], answer.text


SLOW_DISK = """
import os, time
sync = os.fsync
def slow(number):
    while os.path.exists({flag!r}):
        time.sleep(0.01)
    sync(number)
os.fsync = slow
"""


def test_while_labels_wait_for_the_disk_it_answers(versions: list[Run], tmp_path: Path) -> None:
    flag = tmp_path / "hangs"
    (tmp_path / "sitecustomize.py").write_text(SLOW_DISK.format(flag=str(flag)))
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    labels = {"ids": ["a"], "labels": ["bar"]}
    with serving("shapes", "--log", str(tmp_path / "log"), "--request-seconds", "2", PYTHONPATH=path) as server:
        wait_until(lambda: server.get("/readyz").status_code == 200, "a version")
        predictions(server, {"inputs": [PICTURE], "ids": ["a"]})
        flag.touch()
        with ThreadPoolExecutor(usable_cpus()) as crowd:
            asked = [crowd.submit(server.post, "/labels", json=labels) for _ in range(usable_cpus())]
        assert {answer.result().status_code for answer in asked} == {503}
        assert server.post("/predict", json={"inputs": PICTURE}).status_code == 200
        assert server.get("/readyz").status_code == 200
        flag.unlink()
        wait_until(lambda: server.post("/labels", json=labels).status_code == 200, "the disk")


def test_without_a_log_nothing_is_logged_and_no_label_taken(server: Server) -> None:
    [prediction] = server.post("/predict", json={"inputs": PICTURE, "ids": ["a"]}).json()["predictions"]
    assert prediction["id"] == "a" and prediction["logged"] is False
    answer = server.post("/labels", json={"ids": ["a"], "labels": ["bar"]})
    assert answer.status_code == 404 and "--log FOLDER" in answer.json()["error"]


def test_a_folder_that_can_t_be_used_is_one_line(versions: list[Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps("no folder"))
    command = [sys.executable, "-m", "catwalk", "serve", "shapes", "--port", "0", "--metrics-port", "0", "--log"]
    done = subprocess.run([*command, str(tmp_path / "file")], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("catwalk: log: ") and done.stderr.count("\n") == 1

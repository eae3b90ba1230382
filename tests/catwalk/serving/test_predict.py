"""`POST /predict` of a real server: what it answers, and what it says to what can't be answered."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from safetensors.numpy import load

from catwalk.environment.cpus import usable_cpus
from catwalk.ledger.runs import Run
from catwalk.problems.scores import log_probabilities
from catwalk.stages.artifacts.datasets import load_split
from tests.models.shapes.model import NAMES
from tests.models.slow_answers import SLOW
from tests.support.servers import wait_until
from tests.support.serving import Server, new_version, serving

pytestmark = pytest.mark.integration

PICTURE = [[0] * 8] * 8


@pytest.fixture(scope="module")
def examples(versions: list[Run]) -> tuple[Any, Any]:
    """Pictures of the test split, (n, 8, 8), and the probabilities that the test has stored, (n, classes)."""
    run = versions[0]
    dataset = run.dataset()
    assert dataset
    stored = load(run.store.get(run.key("predictions.safetensors")).body)
    return load_split(run.store, dataset, "test")["pixels"], np.exp(log_probabilities(stored["logits"]))


def test_it_answers_as_the_test_did(server: Server, versions: list[Run], examples: tuple[Any, Any]) -> None:
    pictures, probabilities = examples
    answer = server.post("/predict", json={"inputs": {"pixels": pictures.tolist()}})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["model"], found["version"]) == ("shapes", versions[0].run_id)
    assert [one["class"] for one in found["predictions"]] == [NAMES[place] for place in probabilities.argmax(1)]
    assert [one["confidence"] for one in found["predictions"]] == pytest.approx(probabilities.max(1), abs=1e-5)


def test_one_example_is_a_batch_of_one_in_every_form(server: Server, examples: tuple[Any, Any]) -> None:
    picture = examples[0][0]
    raw = {"Content-Type": "application/octet-stream"}
    asked = [
        server.post("/predict", json={"inputs": {"pixels": picture.tolist()}, "ids": ["a"]}),
        server.post("/predict", json={"inputs": picture.tolist(), "ids": ["a"]}),
        server.post("/predict", json={"inputs": [picture.tolist()], "ids": ["a"]}),
        server.post("/predict?id=a", content=picture.tobytes(), headers=raw),
    ]
    assert [answer.status_code for answer in asked] == [200] * 4
    assert len({json.dumps(answer.json()) for answer in asked}) == 1
    [prediction] = asked[0].json()["predictions"]
    assert prediction["id"] == "a"
    many = server.post("/predict", content=examples[0][:7].tobytes(), headers=raw)
    assert len(many.json()["predictions"]) == 7


def test_predictions_are_counted_by_its_monitor_and_refusals_by_status(server: Server) -> None:
    before = server.scrape()
    server.post("/predict", json={"inputs": [PICTURE] * 5})
    server.post("/predict", json={"inputs": "?"})
    after = server.scrape()

    def more(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    assert more("catwalk_service_predictions_total", model="shapes") == 5
    assert more("catwalk_service_errors_total", model="shapes") == 0
    assert more("catwalk_server_answers_total", model="shapes", code="200") == 1
    assert more("catwalk_server_answers_total", model="shapes", code="422") == 1


BAD = {
    "no JSON": ("{", 422, "no JSON"),
    "no text": (b"\xff\xfe", 422, "no JSON"),
    "no object": ("[]", 422, "must be a JSON object"),
    "no inputs": ('{"ids": ["a"]}', 422, "an object with inputs"),
    "something else": ('{"inputs": 1, "model": "x"}', 422, "an object with inputs"),
    "another input": ('{"inputs": {"images": 1}}', 422, "expected pixels, by name"),
    "nothing": ('{"inputs": []}', 422, "got shape [0]"),
    "null": ('{"inputs": null}', 422, "pixels: expected"),
    "another shape": ('{"inputs": [[1, 2], [3, 4]]}', 422, "got shape [2, 2]"),
    "uneven rows": ('{"inputs": [[1, 2], [3]]}', 422, "lists of unequal length"),
    "NaN": ('{"inputs": [[NaN]]}', 422, "no JSON"),
    "deep": ('{"inputs": ' + "[" * 100_000, 422, "no JSON"),
    "deep and closed": ('{"inputs": ' + "[" * 150 + "]" * 150 + "}", 422, "pixels: expected"),
    "a long number": ('{"inputs": ' + "1" * 5_000 + "}", 422, "no JSON"),
    "a large number": (json.dumps({"inputs": [[10**30] * 8] * 8}), 422, "pixels: expected"),
    "a text": (json.dumps({"inputs": [["1"] * 8] * 8}), 422, "another type"),
    "a fraction": (json.dumps({"inputs": [[0.5] * 8] * 8}), 422, "another type"),
    "out of range": (json.dumps({"inputs": [[256] * 8] * 8}), 422, "values from 256 to 256"),
    "an object as a value": (json.dumps({"inputs": [[{}] * 8] * 8}), 422, "another type"),
    "too few ids": (json.dumps({"inputs": [PICTURE] * 2, "ids": ["a"]}), 422, "one for each of 2"),
    "10,000 ids": (json.dumps({"inputs": PICTURE, "ids": list(map(str, range(10_000)))}), 422, "one for each of 1"),
    "an id twice": (json.dumps({"inputs": [PICTURE] * 2, "ids": ["a", "a"]}), 422, "each may come once"),
    "no text as an id": (json.dumps({"inputs": PICTURE, "ids": [[1]]}), 422, "printable texts"),
    "a long id": (json.dumps({"inputs": PICTURE, "ids": ["a" * 201]}), 422, "1 to 200 characters"),
    "too many": (json.dumps({"inputs": [PICTURE] * 1_001}), 422, "1 to 1,000 examples; got 1,001"),
    "too large": (b" " * (8 * 2**20 + 1), 413, "at most 8,388,608"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_can_t_be_answered_gets_one_sentence(server: Server, name: str) -> None:
    body, status, said = BAD[name]
    answer = server.post("/predict", content=body, headers={"Content-Type": "application/json"})
    sentence = answer.json()["error"]
    assert (answer.status_code, said in sentence) == (status, True), answer.text
    assert "\n" not in sentence and len(sentence) < 400
    assert server.post("/predict", json={"inputs": PICTURE}).status_code == 200


def test_another_type_page_or_method_is_refused(server: Server) -> None:
    csv = server.post("/predict", content="1,2", headers={"Content-Type": "text/csv"})
    assert csv.status_code == 415 and "application/json" in csv.json()["error"]
    picture = server.post("/predict", content=b"", headers={"Content-Type": "image/png"})
    assert picture.status_code == 415 and "reads no picture files" in picture.json()["error"]
    odd = server.post("/predict", content=b"1", headers={"Content-Type": "application/octet-stream"})
    assert odd.status_code == 422 and "64 bytes an example" in odd.json()["error"]
    assert server.get("/predict").status_code == 405
    assert server.get("/docs").status_code == server.get("/nope").status_code == 404


def raw(server: Server) -> socket.socket:
    there = urlsplit(server.url)
    return socket.create_connection((there.hostname, there.port), timeout=60)


def test_who_is_slow_is_let_go_and_others_are_answered_meanwhile(server: Server) -> None:
    """Neither headers nor a body that never ends keep a connection for longer than a request may take: 3 s here."""
    with raw(server) as begun, raw(server) as silent, raw(server) as body:
        begun.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n")
        body.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert server.post("/predict", json={"inputs": PICTURE}).status_code == 200
        assert b"408" in body.recv(1_000)
        assert begun.recv(1_000) == silent.recv(1_000) == b"", "closed without a word"


def test_who_hangs_up_within_a_body_is_no_failure_of_the_model(server: Server) -> None:
    def failures() -> float:
        return server.scrape().total("catwalk_server_answers_total", code="500")

    before = failures()
    with raw(server) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert server.get("/healthz").status_code == 200
    with raw(server) as client:  # by the time that this one is let go, the other is dealt with
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert b"408" in client.recv(1_000)
    assert failures() == before and "ClientDisconnect" not in server.log.read_text()


@pytest.mark.parametrize("page", ["GET /healthz", "POST /nope"])
def test_a_body_that_nobody_reads_keeps_no_connection(server: Server, page: str) -> None:
    with raw(server) as client:
        client.sendall(f"{page} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode())
        assert client.recv(12).startswith(b"HTTP/1.1 ")
        client.sendall(b"x")
        assert b"".join(iter(lambda: client.recv(1_000), b"")).endswith(b"}"), "nothing more, then closed"


def cut_off(connection: socket.socket, lines: Iterable[bytes]) -> bool:
    """Whether the other side hangs up before it has all of them."""
    try:
        for line in lines:
            connection.sendall(line)
    except OSError:
        return True
    return False


def test_endless_headers_are_cut_off(server: Server) -> None:
    with raw(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert cut_off(connection, (f"X-{number}: {'y' * 1_000}\r\n".encode() for number in range(10_000)))
    assert server.get("/healthz").status_code == 200


def test_a_crowd_of_large_bodies_is_bounded_in_memory(versions: list[Run]) -> None:
    """Of 40 clients that send 4 MB each and don't end, eight at most are waited for: the process stays small."""
    size, crowd = 4 * 2**20, 40
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    with serving("shapes", "--max-body-bytes", str(size), "--request-seconds", "120") as server, ExitStack() as stack:
        wait_until(lambda: server.get("/readyz").status_code == 200, "a version")
        before = server.resident
        clients = [stack.enter_context(raw(server)) for _ in range(crowd)]
        for client in clients:
            client.sendall(head + b" " * (size - 1))
        refused = wait_until(lambda: (found := readable(clients)) and len(found) >= crowd - 8 and found, "refusals")
        assert {client.recv(12) for client in refused} == {b"HTTP/1.1 503"}
        assert server.resident - before < 100 * 2**20
        waited_for = [client for client in clients if client not in refused]
        for client in waited_for:
            client.sendall(b" ")
            assert client.recv(12) == b"HTTP/1.1 422"
        assert waited_for


def readable(clients: list[socket.socket]) -> list[socket.socket]:
    """Those that have been answered."""
    return select.select(clients, [], [], 0)[0]


def test_more_connections_than_there_is_room_for_are_refused_and_go(server: Server) -> None:
    with ExitStack() as crowd:
        for _ in range(1_005):
            crowd.enter_context(raw(server))
        with server.client() as client:
            assert client.get("/healthz").status_code == 503
        wait_until(lambda: server.get("/healthz").status_code == 200, "those that say nothing to be let go")


def test_what_takes_too_long_is_refused_in_time_and_piles_up_nowhere(versions: list[Run]) -> None:
    """Nobody can stop a model that computes; so no more is begun than there are workers."""
    new_version(versions[0].store, SLOW)
    with serving("slow-answers", "--request-seconds", "1") as server:
        wait_until(lambda: server.get("/readyz").status_code == 200, "a version")
        process = psutil.Process(server.process.pid)
        before, crowd = process.num_threads(), 12

        def ask(_: int) -> tuple[int, str]:
            answer = server.post("/predict", json={"inputs": [PICTURE] * 7})
            return answer.status_code, answer.json()["error"]

        with ThreadPoolExecutor(crowd) as pool:
            assert set(pool.map(ask, range(crowd))) == {(503, "no answer within 1 s; send fewer examples at once")}
        assert process.num_threads() <= before + usable_cpus()
        stuck = server.get("/readyz")
        assert stuck.status_code == 503 and "longer than 1 s" in stuck.json()["error"]
        wait_until(lambda: server.post("/predict", json={"inputs": PICTURE}).status_code == 200, "a free worker")
        wait_until(lambda: server.get("/readyz").status_code == 200, "it to be ready again")


def test_a_token_opens_it(versions: list[Run]) -> None:
    with serving("shapes", CATWALK_SERVE_TOKEN="a secret") as server:
        wait_until(lambda: server.get("/readyz").status_code == 200, "a version")
        asked = {"": 401, "Bearer wrong": 401, "Bearer a secret": 200, "bearer a secret": 200, "Basic a secret": 401}
        for given, status in asked.items():
            headers = {"Authorization": given} if given else {}
            answer = server.post("/predict", json={"inputs": PICTURE}, headers=headers)
            assert answer.status_code == status, given
            assert server.get("/model", headers=headers).status_code == status
        assert server.get("/healthz").status_code == 200
        assert "a secret" not in server.log.read_text()

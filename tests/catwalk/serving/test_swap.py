"""A real server while champions are promoted, damaged and replaced, its ledger goes away, and it is stopped."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from catwalk.gate.promotion import promote_by_hand
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Run
from catwalk.service import reference
from catwalk.storage.opening import open_store
from catwalk.storage.store import Store
from stack.settings import PROJECT
from tests.support.servers import S3Server, wait_until
from tests.support.serving import Load, Server, new_version, serving

pytestmark = pytest.mark.integration

QUICK = ("shapes", "--poll-seconds", "0.2")
BODY = {"inputs": [[[0] * 8] * 8] * 3}
REFUSED = "catwalk_server_model_refused"


def ready(server: Server) -> bool:
    return server.get("/readyz").status_code == 200


def promoted(run: Run) -> Run:
    promote_by_hand(run, "a test", "to be served")
    return run


def damage(run: Run, folder: Path) -> None:
    """Changes a bit of a run's weights."""
    [path] = folder.rglob(f"{run.run_id}/model.safetensors")
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))


def test_a_new_champion_takes_over_without_a_failed_request(versions: list[Run]) -> None:
    store = versions[0].store
    new = new_version(store, rounds=3)
    with serving(*QUICK) as server:
        wait_until(lambda: ready(server), "a version")
        old = server.get("/model").json()["version"]
        load = Load(server, BODY)
        wait_until(lambda: len(load.answers) > 100, "some answers")
        promoted(new)
        server.wait_for(new.run_id)
        since = len(load.answers)
        wait_until(lambda: len(load.answers) > since + 100, "some answers of the new version")
        answers = load.stop()
        assert {status for status, _ in answers} == {200}
        assert {version for _, version in answers} == {old, new.run_id}
        counted = server.scrape()
        by = {name: sum(version == name for _, version in answers) for name in (old, new.run_id)}
        for name, requests in by.items():
            assert counted.total("catwalk_service_predictions_total", version=name) == 3 * requests
        server.scrape()
        assert not server.scrape().total("catwalk_service_info", version=old), "its series disappear after two scrapes"


def test_a_damaged_champion_is_refused_and_the_old_version_goes_on(versions: list[Run], folder: Path) -> None:
    old, new = promoted(new_version(versions[0].store)), new_version(versions[0].store, rounds=2)
    with serving(*QUICK) as server:
        server.wait_for(old.run_id)
        promoted_damaged(new, folder)
        told = wait_until(lambda: (found := server.get("/model").json())["refused"] and found, "a refusal")
        assert told["refused"] == new.run_id and "sha256" in told["trouble"] and told["version"] == old.run_id
        assert server.post("/predict", json=BODY).json()["version"] == old.run_id
        assert ready(server)
        assert server.scrape().total(REFUSED, model="shapes", version=new.run_id) == 1
        assert server.log.read_text().count("is refused") == 1
        promoted(old)
        wait_until(lambda: not server.scrape().total(REFUSED), "the refusal to be over")


def promoted_damaged(run: Run, folder: Path) -> None:
    """As if its weights had changed on the disk after they were verified."""
    training, champions = run.training(), Champions(run.store)
    assert training
    damage(run, folder)
    current = champions.get(run.record.model)
    champions.promote(run, training.model_sha256, current, run.run_id, "a test", "to be refused")


def test_without_a_ledger_it_waits_with_one_line_and_later_goes_on_with_what_it_has(
    s3_server: S3Server, s3_store: Store
) -> None:
    run = new_version(s3_store)
    s3_server.stop()
    with serving(*QUICK) as server:
        refused = wait_until(
            lambda: "does not answer" in server.get("/readyz").text and server.get("/readyz"), "a word"
        )
        assert refused.status_code == 503
        assert server.post("/predict", json=BODY).status_code == 503
        assert server.get("/healthz").status_code == 200
        assert server.scrape().total("catwalk_server_champion_checked_timestamp_seconds") == 0
        assert server.log.read_text().count("does not answer") == 1
        s3_server.start()
        server.wait_for(run.run_id)
        s3_server.stop()
        wait_until(lambda: server.log.read_text().count("does not answer") == 2, "that it is gone again")
        checked = server.scrape().total("catwalk_server_champion_checked_timestamp_seconds")
        assert 0 < checked < time.time()
        assert server.post("/predict", json=BODY).status_code == 200 and ready(server)
        assert server.scrape().total("catwalk_server_champion_checked_timestamp_seconds") == checked, "it grows stale"
    s3_server.start()


def test_the_store_s_address_is_for_those_who_have_the_token_and_its_password_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CATWALK_STORE", "s3://catwalk")
    nowhere = {"AWS_ENDPOINT_URL": "http://user:a-password@127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a",
               "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}  # fmt: skip
    with serving(*QUICK, CATWALK_SERVE_TOKEN="a-token", **nowhere) as server:
        headers = {"Authorization": "Bearer a-token"}
        told = wait_until(lambda: server.get("/model", headers=headers).json()["trouble"], "a word")
        assert "127.0.0.1:9" in told
        assert server.get("/readyz").json() == {"error": "no version of the model is loaded yet"}
        assert "a-password" not in told + server.log.read_text()


def test_a_model_without_a_champion_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    with serving(*QUICK) as server:
        wait_until(lambda: "shapes has no champion yet" in server.get("/readyz").text, "a word")
        run = new_version(open_store())
        server.wait_for(run.run_id)
        assert ready(server)


def test_a_run_can_be_served_that_is_no_champion(versions: list[Run]) -> None:
    held = versions[1]
    with serving("--run", held.run_id) as server:
        server.wait_for(held.run_id)
        assert server.post("/predict", json=BODY).json()["version"] == held.run_id


def test_a_baseline_that_is_accepted_takes_the_place_of_the_test_s_reference(versions: list[Run]) -> None:
    run = new_version(versions[0].store)
    with serving("--run", run.run_id, "--poll-seconds", "0.2") as server:
        server.wait_for(run.run_id)
        assert server.scrape().total("catwalk_service_info", origin="test") == 1
        accepted = replace(reference.of_run(run), origin="service", created=time.time())
        run.store.put_record(run.key(reference.BASELINE), accepted)
        wait_until(lambda: server.scrape().total("catwalk_service_info", origin="service") == 1, "the baseline")
        assert server.scrape().total("catwalk_service_info") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_says_so_and_answers_what_is_under_way(versions: list[Run], number: int) -> None:
    content = b'{"inputs": [[[0' + b",0" * 7 + b"]" + (b",[0" + b",0" * 7 + b"]") * 7 + b"]]}"
    with serving(*QUICK, "--notice-seconds", "1", "--drain-seconds", "60") as server:
        wait_until(lambda: ready(server), "a version")
        there = urlsplit(server.url)
        with socket.create_connection((there.hostname, there.port), timeout=60) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(content))
            slow.sendall(content[:20])
            with server.client() as kept:
                assert kept.get("/healthz").headers.get("connection") != "close"
                server.process.send_signal(number)
                answer = wait_until(lambda: (found := kept.get("/readyz")).status_code == 503 and found, "a notice")
                assert answer.headers["connection"] == "close" and "shutting down" in answer.text
                assert kept.post("/predict", json=BODY).status_code == 200, "it answers during the notice"
            wait_until(lambda: not listens(server), "it to stop accepting")
            assert server.process.poll() is None
            slow.sendall(content[20:])
            answered = http.client.HTTPResponse(slow)
            answered.begin()
            assert answered.status == 200 and answered.getheader("connection") == "close"
        assert server.process.wait(60) == 0


def listens(server: Server) -> bool:
    there = urlsplit(server.url)
    with socket.socket() as probe:
        return probe.connect_ex((there.hostname, there.port)) == 0


def test_what_does_not_end_in_time_is_ended(versions: list[Run]) -> None:
    with serving(*QUICK, "--notice-seconds", "0", "--drain-seconds", "1", "--request-seconds", "300") as server:
        wait_until(lambda: ready(server), "a version")
        there = urlsplit(server.url)
        with socket.create_connection((there.hostname, there.port), timeout=60) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            assert server.post("/predict", json=BODY).status_code == 200
            assert server.stop() == 0


def test_a_port_that_is_taken_is_one_line(versions: list[Run]) -> None:
    with serving(*QUICK) as server:
        port = str(urlsplit(server.url).port)
        done = subprocess.run(
            [sys.executable, "-m", "catwalk", "serve", "shapes", "--port", port],
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and f"port {port}" in done.stderr

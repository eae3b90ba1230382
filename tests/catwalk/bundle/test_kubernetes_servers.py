"""The servers of a bundle for a cluster, started as their manifests say."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest

from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.options import Options
from catwalk.storage.store import Store
from tests.catwalk.bundle.cluster import PARTS, Kubelet, Made
from tests.support.ledgers import make_run
from tests.support.servers import ENVIRONMENT, MONITORING_PASSWORD, S3Server, scraped, wait_until
from tests.support.serving import logged, new_version

pytestmark = pytest.mark.integration

PICTURE = [[0] * 8] * 8


def test_every_server_starts_answers_and_works_together(s3_server: S3Server, s3_store: Store, tmp_path: Path) -> None:
    make_run(s3_store, "20261123T030000Z-00000001", ended=time.time() - 60)
    options = Options("http://exporter", "http://grafana", courier_url="http://courier")
    made = Made(options, Cluster(s3_store.url, name="blue", namespace="ml"))
    keys = {name: ENVIRONMENT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    kubelet = Kubelet(
        made,
        tmp_path,
        {
            "blue-settings": {"AWS_ENDPOINT_URL_S3": s3_server.url, "AWS_REGION": "us-east-1"},
            "blue-exporter": keys,
            "blue-courier": {"CATWALK_MONITORING_PASSWORD": MONITORING_PASSWORD},
            "blue-courier-receivers": {"webhook_url": "http://127.0.0.1:1/"},
        },
    )
    with kubelet.running("statsd-exporter"), kubelet.running("exporter"), kubelet.running("courier"):
        for part, port, name in (
            ("exporter", "9180", "catwalk_run_state"),  # has read the ledger
            ("statsd_exporter", "9102", "catwalk_canary_received_total"),  # receives from the exporter
            ("courier", "9181", "catwalk_courier_notifications_total"),
        ):
            wait_until(lambda port=port, name=name: name in scraped(kubelet.ports[port]), f"{part} has {name}")  # type: ignore[misc]
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {"etc", "tmp", "var", *(f"{part}.log" for part in PARTS)}


def test_a_served_model_answers_is_scraped_and_ends_within_its_grace_period(
    s3_server: S3Server, s3_store: Store, tmp_path: Path
) -> None:
    run = new_version(s3_store)
    made = Made(
        Options("http://exporter", "http://grafana", courier_url="http://courier"),
        Cluster(s3_store.url, name="blue", namespace="ml", served=("shapes",)),
    )
    settings = {"AWS_ENDPOINT_URL_S3": s3_server.url, "AWS_REGION": "us-east-1"}
    keys = {name: ENVIRONMENT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    secret = {**keys, "CATWALK_SERVE_TOKEN": "a token"}
    kubelet = Kubelet(made, tmp_path, {"blue-settings": settings, "blue-serve-shapes": secret})
    url = f"http://127.0.0.1:{kubelet.ports['9182']}"
    with kubelet.running("serve-shapes") as process, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        assert client.post("/predict", json={"inputs": []}).status_code == 401
        client.headers["Authorization"] = "Bearer a token"
        assert client.get("/model").json()["version"] == run.run_id
        asked = {"inputs": PICTURE, "ids": ["a"]}
        answer = logged(lambda: client.post("/predict", json=asked).json())
        assert [one["id"] for one in answer["predictions"]] == ["a"]
        wait_until(lambda: "catwalk_server_answers_total" in scraped(kubelet.ports["9183"]), "its metrics")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/readyz").status_code == 503, "the pod is unready", 5)
        assert client.post("/predict", json={"inputs": PICTURE}).status_code == 200, "it still answers"
        assert process.wait(made.pod("serve-shapes")["terminationGracePeriodSeconds"]) == 0
    assert [entry.key for entry in s3_store.list("predictions/")], "the log has reached the ledger"

"""The servers of a bundle for a cluster, started with what their manifests say."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.options import Options
from catwalk.storage.store import Store
from tests.catwalk.bundle.cluster import PARTS, Kubelet, Made
from tests.support.ledgers import make_run
from tests.support.servers import ENVIRONMENT, MONITORING_PASSWORD, S3Server, scraped, wait_until

pytestmark = pytest.mark.integration


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
            ("statsd_exporter", "9102", "catwalk_canary_received_total"),  # has heard of the exporter
            ("courier", "9181", "catwalk_courier_notifications_total"),
        ):
            wait_until(lambda port=port, name=name: name in scraped(kubelet.ports[port]), f"{part} has {name}")  # type: ignore[misc]
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {"etc", "tmp", "var", *(f"{part}.log" for part in PARTS)}

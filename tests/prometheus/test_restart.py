"""An alert with a long `for` stays pending when Prometheus restarts, and names the owner all the time."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.prometheus.owner_cases import JOINED
from tests.prometheus.scenario import OLDER, RUN
from tests.prometheus.test_targets import Prometheus, Target
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration
LEAST_SECONDS = 15.0
"""What is waiting has done so for that long, and for several times as long as Prometheus takes to start."""
OLD_DATA, NEW_DATA = ("0" * 64, "1" * 64)
INFO = 'catwalk_model_info{{model="{0}",kind="binary",owner="{1}",schedule="0 3 * * *",dag_id="{0}",retired="false"}} 1'
LATEST = 'catwalk_model_version_info{{model="{0}",role="latest",run_id="{1}"}} 1'
PAGE = "\n".join(
    [
        "catwalk_store_up 1",
        INFO.format("churn", "équipe ML"),
        'catwalk_dag_paused{dag_id="churn"} 1',
        'catwalk_next_run_due_timestamp_seconds{model="churn",schedule="0 3 * * *",dag_id="churn"} 1e9',
        'catwalk_good_run_due_timestamp_seconds{model="churn",schedule="0 3 * * *"} 1e9',
        LATEST.format("churn", RUN),
        INFO.format("stale", "growth"),
        LATEST.format("stale", RUN),
        f'catwalk_model_dataset_info{{model="stale",role="latest",run_id="{RUN}",dataset_sha256="{NEW_DATA}"}} 1',
        f'catwalk_model_dataset_info{{model="stale",role="champion",run_id="{OLDER}",dataset_sha256="{OLD_DATA}"}} 1',
        f'catwalk_champion_info{{model="stale",run_id="{OLDER}",model_sha256="m"}} 1',
        f'catwalk_champion_promoted_timestamp_seconds{{model="stale",run_id="{OLDER}"}} 1e9',
        "",
    ]
)
WAITING = {
    ("ChampionMissing", "critical", "équipe ML"),
    ("RetrainingOverdue", "critical", "équipe ML"),
    ("RetrainingOverdue", "warning", "équipe ML"),
    ("PipelinePaused", "warning", "équipe ML"),
    ("ChampionStale", "warning", "growth"),
}

Waiting = dict[tuple[str, str, str], float]
"""Alert, severity and owner → since when it waits."""


@pytest.fixture
def exporter() -> Iterator[Target]:
    target = Target(PAGE)
    yield target
    target.stop()


def waiting(prometheus: Prometheus) -> Waiting:
    """What waits, of those that join the owner."""
    with urllib.request.urlopen(f"{prometheus.url}/api/v1/alerts", timeout=30) as answer:
        found = json.load(answer)["data"]["alerts"]
    return {
        (one["labels"]["alertname"], one["labels"]["severity"], one["labels"].get("owner", "")): datetime.fromisoformat(
            one["activeAt"]
        ).timestamp()
        for one in found
        if one["labels"]["alertname"] in JOINED and one["state"] == "pending"
    }


def test_what_has_waited_is_remembered_with_its_owner(tmp_path: Path, exporter: Target) -> None:
    began = time.time()
    prometheus = Prometheus(tmp_path, exporter=exporter)
    try:
        patience = max(LEAST_SECONDS, 5 * (time.time() - began))
        before = wait_until(lambda: found if (found := waiting(prometheus)).keys() == WAITING else {}, "all wait")
        wait_until(lambda: time.time() > max(before.values()) + patience, "they have waited for a while")
        prometheus.stop()
        long_before = time.time() - LEAST_SECONDS / 3  # the first evaluation may be stamped with a second ago
        prometheus.start()
        wait_until(lambda: remembered(prometheus, long_before) == WAITING, "what began before it stopped continues")
    finally:
        prometheus.stop()


def remembered(prometheus: Prometheus, moment: float) -> set[tuple[str, str, str]]:
    """What counts as waiting since before that moment."""
    return {alert for alert, since in waiting(prometheus).items() if since < moment}

"""`catwalk serve` as a part of a native stack."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from tests.conftest import running_stack
from tests.support import listening
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

PARTS = ["s3", "prometheus", "serve"]


def test_it_waits_for_a_champion_on_loopback_and_prometheus_finds_it() -> None:
    with running_stack(PARTS, {"CATWALK_SERVE_MODEL": "churn", "CATWALK_SERVE_TOKEN": "a secret"}) as stack:
        assert listening.found(stack.settings) == listening.expected(stack.settings, PARTS)
        assert status(f"{stack.settings.url('serve')}/healthz") == (200, {"status": "ok"})
        waits = (503, {"error": "no version of the model is loaded yet"})
        assert status(f"{stack.settings.url('serve')}/readyz") == waits, "the reason is for callers that have the token"
        assert status(f"{stack.settings.url('serve')}/model")[0] == 401
        up = f'up{{job="services", instance="{stack.settings.address("serve_metrics")}"}} == 1'
        wait_until(lambda: stack.query(up), "its metrics in Prometheus")
        assert "a secret" not in " ".join(stack.process("serve").cmdline())


def status(url: str) -> tuple[int, object]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())

"""The doctor on a stack that runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ml.store import Store
from monitoring.doctor import Check, examine
from tests.between import Answer, Asked, BeforeS3
from tests.conftest import RunningStack, wait_until
from tests.servers import S3Server


def _verdicts() -> dict[str, str]:
    return {check.part: check.verdict for check in examine()}


@pytest.mark.integration
def test_a_stack_that_runs_is_well_and_a_part_that_stops_is_named(services: RunningStack) -> None:
    with services.as_environment():
        parts = {"store", "conditional writes", "statsd", "canary", "registry", "prometheus", "targets", "alertmanager"}
        wait_until(lambda: all(_verdicts()[part] == "OK" for part in parts), "every part is well")
        services.stop("alertmanager")
        try:

            def missed() -> dict[str, Check] | None:
                found = {check.part: check for check in examine()}
                return found if "alertmanager" in found["targets"].finding and found["targets"].remedy else None

            found = wait_until(missed, "Prometheus misses Alertmanager")
            assert found is not None
            assert found["targets"].verdict == "FAIL"
            assert found["alertmanager"].verdict == "FAIL"
            assert "make up" in found["alertmanager"].remedy
            assert "alertmanager" in found["targets"].finding
        finally:
            services.start("alertmanager")


def test_a_store_that_ignores_conditions_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such servers exist, and none of them is at hand: the one place where a stand-in has to do."""
    kept: dict[str, bytes] = {}

    def put(self: Store, key: str, body: bytes, **conditions: Any) -> str:
        kept[key] = body
        return "etag"

    monkeypatch.setenv("CATWALK_STORE", "s3://careless")
    monkeypatch.setattr(Store, "put", put)
    monkeypatch.setattr(Store, "get", lambda self, key: type("Stored", (), {"etag": "etag", "body": kept[key]}))
    monkeypatch.setattr(Store, "delete", lambda self, key: kept.pop(key))
    found = next(check for check in examine() if check.part == "conditional writes")
    assert (found.verdict, kept) == ("FAIL", {})
    assert "8 created and 8 replaced" in found.finding


@pytest.mark.integration
def test_a_store_that_does_not_find_again_what_it_took_is_found_out(
    s3_store: Store, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one behind something that tidies up names on the way in."""

    def hide(asked: Asked, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        return replace(answer, body=re.sub(rb"<Contents>.*</Contents>", b"", answer.body, flags=re.DOTALL))

    before = BeforeS3(s3_server.port, hide)
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", before.url)
        found = next(check for check in examine() if check.part == "store")
    finally:
        before.stop()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.url)
    assert found.verdict == "FAIL"
    assert found.finding == f"{s3_store.url} at {before.url} took an object, which then could not be listed"
    assert "CATWALK_STORE" in found.remedy
    assert list(Store(s3_store.url).list("")) == [], "the object is gone again"

from __future__ import annotations

import json
from typing import Any

import pytest

from catwalk_courier.payload import parse
from tests.support.notifying import notification


def test_a_notification() -> None:
    (alert,) = parse(json.dumps(notification("StoreSlow", severity="warning")).encode()).alerts
    assert (alert.name, alert.status, alert.ends_at) == ("StoreSlow", "firing", "")
    assert alert.started == pytest.approx(1_795_403_464.123456)
    (alert,) = parse(json.dumps(notification("StoreSlow", "resolved")).encode()).alerts
    assert alert.ends_at == "2026-11-23T03:41:04.1Z"


def _changed(**changes: Any) -> bytes:
    message = notification("StoreSlow")
    message["alerts"][0] |= changes
    return json.dumps(message).encode()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"alerts", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a notification of Alertmanager"),
        (b"{}", 'version "4"'),
        (b'{"version": "3", "alerts": []}', 'version "4"'),
        (b'{"version": "4"}', "no list of alerts"),
        (b'{"version": "4", "alerts": [1]}', "not an object"),
        (_changed(fingerprint=""), "no fingerprint"),
        (_changed(status="pending"), "no status"),
        (_changed(labels=None), "not strings"),
        (_changed(labels={"a": 1}), "not strings"),
        (_changed(annotations=[]), "not strings"),
        (_changed(startsAt="yesterday"), "not a timestamp"),
        (_changed(startsAt=7), "not a timestamp"),
        (_changed(status="resolved", endsAt="soon"), "not a timestamp"),
    ],
)
def test_nonsense_is_one_line(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        parse(body)
    assert "\n" not in str(refused.value)

"""The HTTP API of a running courier."""

from __future__ import annotations

import json
from typing import Any

from catwalk.clients import access
from catwalk.errors import CatwalkError

TIMEOUT = 5.0
CALLOUT_SECONDS = 30.0
"""Maximum seconds for one callout."""


class CourierError(CatwalkError):
    """The courier did not answer, or refused a request."""


def told(url: str, limit: int) -> dict[str, Any]:
    """The newest notifications and the state of the dead-man watch, from ``/api/notifications``.

    Raises:
        CourierError: It doesn't answer.
    """
    found = _ask(f"{url}/api/notifications?limit={limit}")
    try:
        answer = json.loads(found)
        _ = answer["deadman"]["state"], answer["notifications"]
        return dict(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise CourierError(f"the server at {url} is not the courier; correct CATWALK_COURIER_URL") from error


def plan_stop(url: str, seconds: float, password: str | None = None) -> None:
    """Announces that the Watchdog will be silent on purpose for that time; 0 ends it.

    Args:
        url: The courier's URL.
        seconds: The duration.
        password: Default: `CATWALK_MONITORING_PASSWORD`.

    Raises:
        CourierError: The request failed.
    """
    _ask(f"{url}/planned-stop", json.dumps({"seconds": seconds}).encode(), password)


def test_callouts(url: str) -> dict[str, str]:
    """Makes a test callout through each channel; returns channel → error, which is empty if it was delivered.

    Raises:
        CourierError: The request failed.
    """
    return dict(json.loads(_ask(f"{url}/test-callouts", b"{}", timeout=2 * CALLOUT_SECONDS)))


def _ask(url: str, data: bytes | None = None, password: str | None = None, timeout: float = TIMEOUT) -> bytes:
    try:
        return access.fetch(url, data, timeout=timeout, password=password)
    except (OSError, ValueError) as error:
        base = url.rpartition("/")[0].removesuffix("/api")
        raise CourierError(access.complaint("the courier", base, "CATWALK_COURIER_URL", error)) from error

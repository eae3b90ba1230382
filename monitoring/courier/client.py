"""What others ask of a running courier."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from ml.errors import CatwalkError

TIMEOUT = 5.0


class CourierError(CatwalkError):
    """The courier did not answer, or refused."""


def told(url: str, limit: int) -> dict[str, Any]:
    """The newest notifications and the state of the dead-man watch, as ``/api/notifications`` has them.

    Raises:
        CourierError: it does not say.
    """
    found = _ask(f"{url}/api/notifications?limit={limit}")
    try:
        answer = json.loads(found)
        _ = answer["deadman"]["state"], answer["notifications"]
        return dict(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise CourierError(f"what answers at {url} is no courier; correct CATWALK_COURIER_URL") from error


def plan_stop(url: str, seconds: float) -> None:
    """Announces that the Watchdog will be silent on purpose for so long; 0: that this is over.

    Raises:
        CourierError: it was not heard.
    """
    _ask(f"{url}/planned-stop", json.dumps({"seconds": seconds}).encode())


def _ask(url: str, data: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return bytes(answer.read())
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        raise CourierError(
            f"the courier at {url.rpartition('/')[0]} does not answer ({getattr(cause, 'strerror', None) or cause}); "
            "start it (`make up`), or correct CATWALK_COURIER_URL"
        ) from error

"""HTTP to what lies behind the stack's one user and password: Prometheus, Alertmanager, and the courier's inlets."""

from __future__ import annotations

import base64
import hmac
import os
import urllib.error
import urllib.request

from catwalk.environment.parts import start_command
from catwalk.environment.proxies import fetch_part

USER = "catwalk"
PASSWORD_VARIABLE = "CATWALK_MONITORING_PASSWORD"


def fetch(
    url: str,
    data: bytes | None = None,
    method: str | None = None,
    *,
    timeout: float,
    password: str | None = None,
    kind: str = "application/json",
) -> bytes:
    """The body of a 2xx answer, asked without a proxy.

    Args:
        url: of Prometheus, Alertmanager or the courier.
        data: body to send.
        method: default GET, with data POST.
        timeout: seconds.
        password: default `CATWALK_MONITORING_PASSWORD`; where that is not set, none is sent, as a Prometheus without
            users wants it.
        kind: of body.

    Raises:
        OSError: anything else came; :func:`complaint` makes a line of it.
    """
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    secret = os.environ.get(PASSWORD_VARIABLE, "") if password is None else password
    if secret:
        request.add_unredirected_header("Authorization", header(secret))  # whoever it leads on to does not get it
    return fetch_part(request, timeout)


def header(password: str) -> str:
    """The value of `Authorization` that opens the door."""
    return "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()


def opens(given: str | None, password: str) -> bool:
    """Whether a request's `Authorization` is the right one; takes as long for a nearly right one as for any other."""
    return hmac.compare_digest((given or "").encode(errors="replace"), header(password).encode())


def refused(error: BaseException) -> bool:
    """Whether a request failed for want of the right password."""
    return isinstance(error, urllib.error.HTTPError) and error.code in (401, 403)


def complaint(who: str, base: str, variable: str, error: BaseException) -> str:
    """One line on a failed request, with what to do. The answer, if there was one, is closed.

    Args:
        who: the part, as it begins a sentence.
        base: its URL.
        variable: the environment variable that says where it is.
        error: from :func:`fetch`.
    """
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    if refused(error):
        return f"{who} at {base} refuses the user {USER}; set {PASSWORD_VARIABLE} to its password"
    cause = getattr(error, "reason", None) or error
    why = getattr(cause, "strerror", None) or cause
    return f"{who} at {base} does not answer ({why}); start it ({start_command()}), or correct {variable}"

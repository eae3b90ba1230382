"""HTTP requests to servers with the stack's user and password: Prometheus, Alertmanager, and the courier's inlets."""

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
    """The body of a 2xx response, requested without a proxy.

    Args:
        url: A URL of Prometheus, Alertmanager or the courier.
        data: The body to send.
        method: Default: GET, or POST with data.
        timeout: Seconds.
        password: Default: `CATWALK_MONITORING_PASSWORD`; if that is not set, none is sent, for a Prometheus without
            users.
        kind: The content type of the body.

    Raises:
        OSError: The request failed; :func:`complaint` makes a line of it.
    """
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    secret = os.environ.get(PASSWORD_VARIABLE, "") if password is None else password
    if secret:
        request.add_unredirected_header("Authorization", header(secret))  # a redirect doesn't pass it on
    return fetch_part(request, timeout)


def header(password: str) -> str:
    """The value of `Authorization` for a password."""
    return "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()


def opens(given: str | None, password: str) -> bool:
    """Whether a request's `Authorization` is right, compared in constant time."""
    return hmac.compare_digest((given or "").encode(errors="replace"), header(password).encode())


def refused(error: BaseException) -> bool:
    """Whether a request failed because the password was missing or wrong."""
    return isinstance(error, urllib.error.HTTPError) and error.code in (401, 403)


def complaint(who: str, base: str, variable: str, error: BaseException) -> str:
    """One line about a failed request, with what to do. It closes the response, if there was one.

    Args:
        who: The part's name, as the beginning of a sentence.
        base: Its URL.
        variable: The environment variable with its URL.
        error: The error from :func:`fetch`.
    """
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    if refused(error):
        return f"{who} at {base} refused the user {USER}; set {PASSWORD_VARIABLE} to its password"
    cause = getattr(error, "reason", None) or error
    why = getattr(cause, "strerror", None) or cause
    return f"{who} at {base} does not answer ({why}); start it ({start_command()}), or correct {variable}"

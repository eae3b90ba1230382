"""Which requests go directly, and which through a proxy of the environment (`http_proxy`, `HTTPS_PROXY`, …).

Passwords and signed requests for this machine, or for a part of the stack, never go through a proxy. Requests to the
outside (receivers of callouts, AWS, the dataset's mirror) go through the caller's proxy.
"""

from __future__ import annotations

import ipaddress
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import Request

_LOCAL = ("127.0.0.1", "localhost", "::1")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_local(url: str) -> bool:
    """Whether a URL's host is this machine, or a neighbour whose name has no dot, as in a container network."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def proxy_for(url: str) -> str:
    """The environment's proxy for a URL, without its password; empty for a direct request."""
    parts = urlsplit(url)
    if is_local(url) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    scheme, _, address = proxy.rpartition("://")
    return f"{scheme or 'http'}://{address.rpartition('@')[2]}" if proxy else ""


def through_proxy(url: str) -> str:
    """The mention of a proxy for a message, after the server's name; empty if there is none."""
    proxy = proxy_for(url)
    return f" through the proxy {proxy}" if proxy else ""


def fetch_part(request: Request, timeout: float, limit: int | None = None) -> bytes:
    """The body of a part's 2xx response, requested without a proxy.

    Args:
        request: A request to a part of the stack.
        timeout: Seconds of each wait.
        limit: Bytes of the body to read; None for all of it.

    Raises:
        OSError: The request failed; an ``HTTPError`` for another status.
    """
    return _fetch(_DIRECT, request, timeout, limit)


def opener(url: str) -> urllib.request.OpenerDirector:
    """Opens URLs on the outside, through the caller's proxy if there is one."""
    return urllib.request.build_opener(urllib.request.ProxyHandler()) if proxy_for(url) else _DIRECT


def fetch_outside(request: Request, timeout: float) -> bytes:
    """The body of a 2xx response from the outside, through the caller's proxy if there is one.

    Raises:
        OSError: The request failed; the message names the proxy if there was one.
    """
    through = through_proxy(request.full_url)
    try:
        return _fetch(opener(request.full_url), request, timeout)
    except OSError as error:
        if not through:
            raise
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise OSError(f"{error} ({through.strip()})") from error


def _fetch(opener: urllib.request.OpenerDirector, request: Request, timeout: float, limit: int | None = None) -> bytes:
    try:
        with opener.open(request, timeout=timeout) as answer:
            return bytes(answer.read(limit))
    except HTTPException as error:  # mostly not an OSError: the response was not HTTP, or was truncated
        if isinstance(error, OSError):
            raise
        raise OSError(f"{type(error).__name__}: {error}") from error


def without_proxy(environment: Mapping[str, str], urls: Iterable[str]) -> dict[str, str]:
    """`NO_PROXY` in both spellings, for other programs: this machine, the hosts of `urls`, and the caller's own
    entries.

    IPv6 addresses in brackets or with a prefix length are left out, because httpx, which Airflow's tasks use for
    requests to their API server, fails on them.
    """
    own = [entry.strip() for name in ("NO_PROXY", "no_proxy") for entry in environment.get(name, "").split(",")]
    hosts = [*_LOCAL, *(urlsplit(url).hostname or "" for url in urls), *own]
    kept = [host for host in hosts if host and not ("[" in host or (host.count(":") > 1 and "/" in host))]
    text = (
        "*" if "*" in own else ",".join(dict.fromkeys(kept))
    )  # Python's urllib supports the star only alone, not in a list
    return {"NO_PROXY": text, "no_proxy": text}


def is_socks(name: str, value: str) -> bool:
    """Whether a variable names a SOCKS proxy. Nothing here supports SOCKS, and httpx fails if one is set."""
    return name.lower().endswith("_proxy") and value.lower().startswith("socks")

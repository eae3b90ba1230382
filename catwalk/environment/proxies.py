"""Who is asked directly, and who through a proxy that the environment names (`http_proxy`, `HTTPS_PROXY`, …).

Passwords and signed requests for this machine, or for a part of the stack, are nobody else's business: they never go
through a proxy. What is outside (receivers of call-outs, AWS, the dataset's mirror) goes through the caller's.
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
    """Whether a URL leads to this machine, or to a neighbour whose name has no dot, as on a network of containers."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def proxy_for(url: str) -> str:
    """The proxy that the environment names for a URL, without its password; empty where it is asked directly."""
    parts = urlsplit(url)
    if is_local(url) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    scheme, _, address = proxy.rpartition("://")
    return f"{scheme or 'http'}://{address.rpartition('@')[2]}" if proxy else ""


def through_proxy(url: str) -> str:
    """What a message says of the proxy in between, after the name of whom was asked; empty where there is none."""
    proxy = proxy_for(url)
    return f" through the proxy {proxy}" if proxy else ""


def fetch_part(request: Request, timeout: float, limit: int | None = None) -> bytes:
    """The body of a part's 2xx answer, asked without a proxy.

    Args:
        request: whose URL leads to a part of the stack.
        timeout: seconds, of each wait.
        limit: bytes of the body that are read; None for all of it.

    Raises:
        OSError: anything else came; an ``HTTPError`` where it was another status.
    """
    return _fetch(_DIRECT, request, timeout, limit)


def opener(url: str) -> urllib.request.OpenerDirector:
    """Asks for what is outside, through the caller's proxy where there is one."""
    return urllib.request.build_opener(urllib.request.ProxyHandler()) if proxy_for(url) else _DIRECT


def fetch_outside(request: Request, timeout: float) -> bytes:
    """The body of a 2xx answer from outside, through the caller's proxy where there is one.

    Raises:
        OSError: anything else came; names the proxy if one was in between.
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
    except HTTPException as error:  # mostly no OSError: no HTTP was spoken, or the body breaks off
        if isinstance(error, OSError):
            raise
        raise OSError(f"{type(error).__name__}: {error}") from error


def without_proxy(environment: Mapping[str, str], urls: Iterable[str]) -> dict[str, str]:
    """`NO_PROXY` in both spellings, for programs that are not ours: this machine, the hosts of `urls`, and what the
    caller's own says.

    An address of IPv6 in brackets or with a prefix length is left out: httpx, by which Airflow's tasks speak to their
    API server, fails over it.
    """
    own = [entry.strip() for name in ("NO_PROXY", "no_proxy") for entry in environment.get(name, "").split(",")]
    hosts = [*_LOCAL, *(urlsplit(url).hostname or "" for url in urls), *own]
    kept = [host for host in hosts if host and not ("[" in host or (host.count(":") > 1 and "/" in host))]
    text = "*" if "*" in own else ",".join(dict.fromkeys(kept))  # Python's urllib knows the star alone, in no list
    return {"NO_PROXY": text, "no_proxy": text}


def is_socks(name: str, value: str) -> bool:
    """Whether a variable names a SOCKS proxy. Nothing here speaks SOCKS, and httpx fails at the sight of one."""
    return name.lower().endswith("_proxy") and value.lower().startswith("socks")

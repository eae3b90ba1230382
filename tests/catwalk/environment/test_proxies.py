"""Which servers are reached directly, and which through the caller's proxy."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from urllib.request import Request

import pytest

from catwalk.environment.proxies import fetch_outside, fetch_part, is_local, is_socks, proxy_for, without_proxy
from tests.support.between import PROXY_VARIABLES, Answer, Asked, BeforeS3, Proxy


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that the environment names in every way, for everything."""
    proxy = Proxy()
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in proxy.environment().items():
        monkeypatch.setenv(name, value)
    yield proxy
    proxy.stop()


@pytest.fixture
def part() -> Iterator[BeforeS3]:
    """A part of the stack that answers everything with its name."""
    part = BeforeS3(0, lambda asked, ask: Answer(200, b"a part"))
    yield part
    part.stop()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:7070",
        "http://127.8.8.8/x",
        "http://localhost:1",
        "http://LOCALHOST.",
        "http://s3.localhost:1",
        "http://[::1]:7070/x",
        "http://[::ffff:127.0.0.1]:7070",
        "http://0.0.0.0:7070",
        "http://versitygw:7070",
        "https://user:password@localhost",
    ],
)
def test_this_machine_and_neighbours_without_a_dot_are_local(url: str, proxy: Proxy) -> None:
    assert is_local(url)
    assert proxy_for(url) == ""


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "https://s3.amazonaws.com", "http://[2001:db8::1]", "http://127.org"]
)
def test_everything_else_goes_through_the_proxy_unless_the_caller_says_otherwise(
    url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_local(url)
    assert proxy_for(url) == proxy.url
    monkeypatch.setenv("no_proxy", "*")
    assert proxy_for(url) == ""


def test_a_proxy_is_named_without_its_password(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@proxy.example.com:3128")
    assert proxy_for("http://example.com") == "http://proxy.example.com:3128"
    monkeypatch.setenv("http_proxy", "user:secret@proxy.example.com:3128")
    assert proxy_for("http://example.com") == "http://proxy.example.com:3128"


def test_a_part_is_reached_without_the_proxy(proxy: Proxy, part: BeforeS3) -> None:
    assert fetch_part(Request(part.url), 10) == b"a part"
    assert fetch_part(Request(part.url), 10, limit=1) == b"a"
    assert fetch_outside(Request(part.url), 10) == b"a part", "what is on this machine is not outside"
    assert proxy.seen == []


def test_outside_requests_go_through_the_proxy_and_errors_name_it(proxy: Proxy) -> None:
    with pytest.raises(OSError, match=f"HTTP Error 403.*through the proxy {proxy.url}"):
        fetch_outside(Request("http://example.com/hook", b"{}"), 10)
    with pytest.raises(OSError, match=f"Tunnel connection failed: 403.*through the proxy {proxy.url}"):
        fetch_outside(Request("https://example.com/hook", b"{}"), 10)
    assert [(asked.method, asked.path) for asked in proxy.seen] == [
        ("POST", "http://example.com/hook"),
        ("CONNECT", "example.com:443"),
    ]


def test_an_answer_that_is_not_http_or_breaks_off_is_an_oserror(part: BeforeS3) -> None:
    def breaks_off(asked: Asked, ask: object) -> Answer:
        return Answer(200, b"x" * 100, cut=10)

    part.edit = breaks_off
    for fetch in (fetch_part, fetch_outside):
        with pytest.raises(OSError, match="IncompleteRead"):
            fetch(Request(part.url), 10)
    part.edit = lambda asked, ask: Answer(404)
    with pytest.raises(urllib.error.HTTPError) as missing:
        fetch_part(Request(part.url), 10)
    missing.value.close()


def test_no_proxy_keeps_the_callers_own_and_adds_this_machine_and_the_parts() -> None:
    own = {"NO_PROXY": "git.corp, .lan", "no_proxy": "10.0.0.0/8"}
    found = without_proxy(own, ["http://127.0.0.1:9090", "https://grafana.corp:3000/x", ""])
    assert found["NO_PROXY"] == found["no_proxy"]
    assert found["NO_PROXY"].split(",") == [
        "127.0.0.1",
        "localhost",
        "::1",
        "grafana.corp",
        "git.corp",
        ".lan",
        "10.0.0.0/8",
    ]
    assert without_proxy({"no_proxy": "*"}, [])["NO_PROXY"] == "*"


@pytest.mark.parametrize("caller", ["", "*", "corp.example,::1/128,fd00:1:2:3:4:5:6:7/64,[::1],fd00::/8,10.0.0.0/8"])
def test_the_http_client_of_airflows_tasks_reaches_loopback_directly(proxy: Proxy, part: BeforeS3, caller: str) -> None:
    """This holds for every NO_PROXY of the caller: httpx fails on some values that other programs understand."""
    script = f"import httpx; print(httpx.Client(timeout=20).get({part.url!r}).text)"
    environment = {**proxy.environment(), **without_proxy({"NO_PROXY": caller}, [])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert (done.stdout, done.stderr) == ("a part\n", "")
    assert proxy.seen == []


def test_a_socks_proxy_is_known_by_its_scheme() -> None:
    assert all(is_socks(name, "socks5h://127.0.0.1:1080") for name in PROXY_VARIABLES)
    assert not is_socks("ALL_PROXY", "http://127.0.0.1:1")
    assert not is_socks("MY_PROXY_NAME", "socks")

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from catwalk.errors import ConfigError
from catwalk.telemetry.wire import address
from catwalk.telemetry.wire.address import Address
from tests.support.servers import wait_until


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9125", "127.0.0.1", 9125),
        ("statsd.internal:8125", "statsd.internal", 8125),
        (" [::1]:9125 ", "::1", 9125),
    ],
)
def test_addresses_are_parsed(text: str, host: str, port: int) -> None:
    read = Address.parse(text, "CATWALK_STATSD")
    assert (read.host, read.port) == (host, port)
    assert str(read) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["", "localhost", ":9125", "localhost:", "localhost:http", "a:0", "a:65536", "a:-1", "::1:9125", "a b:1", "ä:1"],
)
def test_a_malformed_address_names_the_variable(text: str) -> None:
    with pytest.raises(ConfigError, match=r"CATWALK_STATSD must be host:port such as 127\.0\.0\.1:9125"):
        Address.parse(text, "CATWALK_STATSD")


def test_localhost_is_where_ipv4_listens() -> None:
    assert Address("localhost", 9125).find() == ("127.0.0.1", socket.AF_INET)


def test_ipv6() -> None:
    assert Address("::1", 9125).find() == ("::1", socket.AF_INET6)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A name server that a test can stop, break, and give other hosts."""

    class Resolver:
        def __init__(self) -> None:
            self.questions = 0
            self.answer: str | Exception = "192.0.2.1"
            self.reachable = threading.Event()
            self.reachable.set()

        def __call__(self, *_: Any, **__: Any) -> list[Any]:
            self.questions += 1
            self.reachable.wait(120)
            if isinstance(self.answer, Exception):
                raise self.answer
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (self.answer, 9125))]

    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    return resolver


def test_a_name_is_looked_up_once_for_many_requests(resolver: Any) -> None:
    target = Address("exporter", 9125)
    assert {target.find() for _ in range(1_000)} == {("192.0.2.1", socket.AF_INET)}
    assert resolver.questions == 1


def test_an_unknown_name_is_looked_up_rarely(resolver: Any) -> None:
    resolver.answer = socket.gaierror(-2, "Name or service not known")
    target = Address("nowhere", 9125)
    assert [target.find() for _ in range(100)] == [None] * 100
    assert resolver.questions == 1


def test_a_silent_name_server_blocks_no_one_for_long(resolver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "FIRST_WAIT_SECONDS", 0.6)
    monkeypatch.setattr(address, "REFRESH_SECONDS", 0.0)
    resolver.reachable.clear()
    target = Address("exporter", 9125)
    started = time.monotonic()
    assert [target.find() for _ in range(100)] == [None] * 100
    assert time.monotonic() - started < 30, "a separate lookup each would take a minute"
    assert resolver.questions == 1  # one thread waits, not a hundred
    resolver.reachable.set()
    wait_until(lambda: target.find() is not None)


def test_a_host_that_moves_is_followed_and_a_dead_name_server_changes_nothing(
    resolver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "REFRESH_SECONDS", 0.0)
    target = Address("exporter", 9125)
    target.find()
    resolver.answer = "192.0.2.2"
    wait_until(lambda: target.find() == ("192.0.2.2", socket.AF_INET))
    resolver.answer = OSError("broken")
    asked = resolver.questions
    wait_until(lambda: target.find() is not None and resolver.questions > asked + 2)
    assert target.find() == ("192.0.2.2", socket.AF_INET)

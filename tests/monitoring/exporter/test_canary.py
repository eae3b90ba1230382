from __future__ import annotations

import socket

import pytest

from catwalk.errors import ConfigError
from catwalk.telemetry.catalogue import CANARY_RECEIVED, STORE_ERRORS, by_transport
from catwalk.telemetry.emitter import Emitter
from catwalk.telemetry.wire.address import Address
from catwalk_exporter import canary as canary_module
from catwalk_exporter.canary import Canary, announcements, canary_from_environment
from tests.support.servers import PATIENCE, wait_until


def test_every_counter_is_announced_in_every_combination() -> None:
    found = announcements()
    assert {metric for metric, _, _ in found} == {
        metric for metric in by_transport("statsd") if metric.kind == "counter"
    }
    assert [labels["operation"] for metric, labels, _ in found if metric is STORE_ERRORS] == [
        "get",
        "put",
        "head",
        "list",
        "delete",
    ]
    assert {amount for _, _, amount in found} == {0}
    assert (CANARY_RECEIVED, {}, 0) in found


def test_announcements_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary_module, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(canary_module, "ANNOUNCE_SECONDS", 0.06)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        canary = Canary(Emitter(Address(*receiver.getsockname())))
        canary.start()
        announced = 0
        while announced < 3:
            announced += receiver.recv(65_535).count(b"\n") > 0
        canary.stop()


def test_a_line_each_interval_and_announcements_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary_module, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(canary_module, "ANNOUNCE_SECONDS", 3600)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        canary = Canary(Emitter(Address(*receiver.getsockname())))
        canary.start()
        datagrams = [receiver.recv(65_535).decode().split("\n") for _ in range(7)]
        canary.stop()
        receiver.setblocking(False)
        while True:
            try:
                datagrams.append(receiver.recv(65_535).decode().split("\n"))
            except BlockingIOError:
                break
    assert all(lines[0] == "catwalk.canary.received:1|c" for lines in datagrams)
    assert canary.sent == len(datagrams)
    assert datagrams[0][1:] == [
        *(f"ml.store.errors,operation={operation}:0|c" for operation in ("get", "put", "head", "list", "delete")),
        "catwalk.canary.received:0|c",
    ]
    assert datagrams[1] == ["catwalk.canary.received:1|c"]
    assert [len(lines) for lines in datagrams[1:]] == [1] * (len(datagrams) - 1)


def test_lines_that_cannot_be_sent_count_as_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only then does the difference from what was received show the loss."""
    monkeypatch.setattr(canary_module, "INTERVAL_SECONDS", 0.01)
    canary = Canary(Emitter(Address("no-such-host.invalid", 9125)))
    canary.start()
    wait_until(lambda: canary.sent >= 3, "three canaries that could not be sent")
    canary.stop()


def test_the_environment_decides() -> None:
    assert canary_from_environment({}) is None
    assert canary_from_environment({"CATWALK_STATSD": "127.0.0.1:9125"}) is not None
    with pytest.raises(ConfigError, match="CATWALK_STATSD"):
        canary_from_environment({"CATWALK_STATSD": "nonsense"})

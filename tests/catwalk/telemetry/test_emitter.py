from __future__ import annotations

import json
import logging
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import catwalk
from catwalk.errors import ConfigError
from catwalk.ledger.records.evaluation import EvaluationRecord
from catwalk.ledger.records.run import RunRecord
from catwalk.replay.points import run_points
from catwalk.telemetry import emitter as emitter_module
from catwalk.telemetry.emitter import Emitter, observer_from_environment, stat
from catwalk.telemetry.observer import Silent
from catwalk.telemetry.wire.address import Address
from catwalk.telemetry.wire.client import DATAGRAM_BYTES, UdpClient
from stack.ports import free_port
from tests.support.servers import PATIENCE

RUN_TAGS = "run_id=20261123T030000Z-7f3a90c1,model=mlp"


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        yield receiver


@pytest.fixture
def sender(receiver: socket.socket) -> Emitter:
    return Emitter(Address(*receiver.getsockname()))


@pytest.fixture
def closed_port() -> int:
    return free_port()


class Collector:
    """A StatsD listener for one TCP connection; reads it to the end, unless the test stops it early."""

    def __init__(self, reads: bool = True) -> None:
        self.lines: list[str] = []
        self._reads = reads
        self._done = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            if self._reads:
                with connection.makefile() as file:
                    self.lines = file.read().splitlines()
            else:
                self._done.wait(120)

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._socket.close()


def test_an_epoch_on_the_wire(sender: Emitter, receiver: socket.socket, run_record: RunRecord, make_epoch: Any) -> None:
    sender.epoch_finished(run_record, make_epoch(3, train_loss=math.nan, gradient_norm=math.inf))
    first, second = receiver.recv(65_535), receiver.recv(65_535)
    assert max(len(first), len(second)) <= DATAGRAM_BYTES
    lines = (first + b"\n" + second).split(b"\n")
    assert len(lines) == 19
    assert lines[:9] == [
        f"ml.epoch.loss,{RUN_TAGS},split=train,epoch=3:nan|g".encode(),
        f"ml.epoch.loss,{RUN_TAGS},split=validation,epoch=3:0.5|g".encode(),
        f"ml.epoch.accuracy_ratio,{RUN_TAGS},split=train,epoch=3:0.85|g".encode(),
        f"ml.epoch.accuracy_ratio,{RUN_TAGS},split=validation,epoch=3:0.8|g".encode(),
        f"ml.epoch.duration_seconds,{RUN_TAGS},epoch=3:1.5|g".encode(),
        f"ml.epoch.learning_rate,{RUN_TAGS},epoch=3:1e-05|g".encode(),
        # "+inf" would be added to the current value.
        f"ml.epoch.gradient_norm,{RUN_TAGS},epoch=3:inf|g".encode(),
        f"ml.epoch.examples_per_second,{RUN_TAGS},epoch=3:36000.0|g".encode(),
        f"ml.epoch.index,{RUN_TAGS},epoch=3:3|g".encode(),
    ]
    assert lines[9] == f"ml.epoch.class_accuracy_ratio,{RUN_TAGS},class=t-shirt-top,epoch=3:0|g".encode()
    assert sender.take_dropped() == 0


def test_store_operations_on_the_wire(sender: Emitter, receiver: socket.socket) -> None:
    sender.store_operation("get", 0.0125, failed=False)
    sender.store_operation("put", 2.0, failed=True)
    assert receiver.recv(999) == b"ml.store.operation_duration,operation=get:12.500000|ms"
    assert receiver.recv(999) == (
        b"ml.store.operation_duration,operation=put:2000.000000|ms\nml.store.errors,operation=put:1|c"
    )


def test_a_stage_on_the_wire(
    sender: Emitter, receiver: socket.socket, run_record: RunRecord, make_attempt: Any
) -> None:
    sender.stage_finished(run_record, make_attempt("decide"))
    assert receiver.recv(999).decode().split("\n") == [
        f"ml.stage.duration_seconds,{RUN_TAGS},stage=decide:60.0|g",
        f"ml.stage.peak_memory_bytes,{RUN_TAGS},stage=decide:5|g",
        f"ml.stage.cpu_seconds,{RUN_TAGS},stage=decide:90.0|g",
        f"ml.stage.gpu_peak_memory_bytes,{RUN_TAGS},stage=decide:7|g",
        f"ml.stage.gpu_utilisation_ratio,{RUN_TAGS},stage=decide:0.5|g",
    ]


def test_no_datagram_is_longer_than_a_frame(
    sender: Emitter, receiver: socket.socket, run_record: RunRecord, evaluation: EvaluationRecord
) -> None:
    sender.test_finished(run_record, evaluation)
    lines = 0
    while lines < 133:
        datagram = receiver.recv(65_535)
        assert len(datagram) <= DATAGRAM_BYTES
        lines += datagram.count(b"\n") + 1
    assert lines == 133


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("t-shirt-top", ",operation=t-shirt-top"),
        ("a,b=c:d|e\nf#g[h]", ",operation=a%2Cb%3Dc%3Ad%7Ce%0Af%23g%5Bh%5D"),
        ("Größe 42\r\n\0", ",operation=Größe 42%0D%0A%00"),
        ("猫💥\udcff", ",operation=猫💥%ED%B3%BF"),
        ("", ""),
    ],
)
def test_characters_with_a_meaning_in_statsd_never_reach_the_wire(
    sender: Emitter, receiver: socket.socket, value: str, tag: str
) -> None:
    sender.store_operation(value, 0.001, failed=False)
    assert receiver.recv(999).decode() == f"ml.store.operation_duration{tag}:1.000000|ms"
    assert sender.take_dropped() == 0


def test_a_datagram_is_counted_in_bytes_not_in_characters(
    sender: Emitter,
    receiver: socket.socket,
    run_record: RunRecord,
    make_epoch: Any,
) -> None:
    classes = [f"{'猫' * 60}{number}" for number in range(10)]
    sender.epoch_finished(replace(run_record, classes=classes), make_epoch(1))
    lines = 0
    while lines < 19:
        datagram = receiver.recv(65_535)
        assert len(datagram) <= DATAGRAM_BYTES
        lines += datagram.count(b"\n") + 1
    assert lines == 19


def test_a_name_that_would_end_the_connection_is_counted_and_others_arrive(
    make_run: Any,
) -> None:
    run = make_run(epochs=1)
    run.record = replace(run.record, classes=["a" * 5_000, *"bcdefghij"])
    listener = Collector()
    sender = Emitter(listener.address)
    whole, of_long_name = 19 + 158, 1 + 3 + 19
    assert sender.resend(run_points(run)) == whole - of_long_name
    listener.close()
    assert len(listener.lines) == whole - of_long_name
    assert sender.take_dropped() == of_long_name


def test_what_was_not_measured_is_not_sent_and_not_a_loss(
    sender: Emitter, receiver: socket.socket, run_record: RunRecord, make_epoch: Any
) -> None:
    sender.epoch_finished(run_record, make_epoch(1, train_loss=None, class_accuracy=[]))
    received = receiver.recv(65_535)
    assert received.count(b"\n") + 1 == 8
    assert [b"split=validation" in line for line in received.split(b"\n") if b"ml.epoch.loss," in line] == [True]
    assert sender.take_dropped() == 0


@pytest.mark.parametrize("value", [-0.1, -math.inf, "much", [1]])
def test_a_value_that_no_gauge_can_hold_is_counted_and_the_others_are_sent(
    sender: Emitter, receiver: socket.socket, run_record: RunRecord, make_epoch: Any, value: Any
) -> None:
    sender.epoch_finished(run_record, make_epoch(1, gradient_norm=value))
    received = receiver.recv(65_535) + b"\n" + receiver.recv(65_535)
    assert received.count(b"\n") + 1 == 18
    assert b"gradient_norm" not in received
    assert sender.take_dropped() == 1
    assert sender.take_dropped() == 0


def test_a_negative_value_is_sent_as_its_magnitude_under_its_own_name(
    sender: Emitter, receiver: socket.socket, run_record: RunRecord, make_epoch: Any
) -> None:
    """``-0.4|g`` would be subtracted from the current value."""
    sender.epoch_finished(run_record, make_epoch(3, train_loss=-0.4, validation_loss=-math.inf))
    lines = receiver.recv(65_535).split(b"\n")
    assert lines[:2] == [
        f"ml.epoch.loss_negative,{RUN_TAGS},split=train,epoch=3:0.4|g".encode(),
        f"ml.epoch.loss_negative,{RUN_TAGS},split=validation,epoch=3:inf|g".encode(),
    ]
    assert sender.take_dropped() == 0


def test_negative_zero_is_not_a_difference(
    sender: Emitter, receiver: socket.socket, run_record: RunRecord, make_epoch: Any
) -> None:
    sender.epoch_finished(run_record, make_epoch(1, train_loss=-0.0))
    assert receiver.recv(65_535).startswith(f"ml.epoch.loss,{RUN_TAGS},split=train,epoch=1:0|g\n".encode())


def test_a_record_that_makes_no_sense_is_counted(sender: Emitter, run_record: RunRecord, make_epoch: Any) -> None:
    sender.epoch_finished(run_record, make_epoch(1, class_accuracy=[0.5]))
    assert sender.take_dropped() == 1


def test_a_closed_port_is_noticed(
    closed_port: int, run_record: RunRecord, make_epoch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Emitter(Address("127.0.0.1", closed_port))
    with caplog.at_level(logging.WARNING):
        for epoch in range(1, 6):
            sender.epoch_finished(run_record, make_epoch(epoch))
        assert sender.take_dropped() == 5 * 19
    assert [record.getMessage() for record in caplog.records] == [
        f"telemetry to 127.0.0.1:{closed_port}: Connection refused. Losses are counted; only this first one is logged"
    ]


def test_a_listener_that_comes_back_is_used_again(closed_port: int, run_record: RunRecord, make_epoch: Any) -> None:
    sender = Emitter(Address("127.0.0.1", closed_port))
    sender.epoch_finished(run_record, make_epoch(1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", closed_port))
        receiver.settimeout(PATIENCE)
        sender.epoch_finished(run_record, make_epoch(2))
        assert b"epoch=2" in receiver.recv(65_535)
        receiver.recv(65_535)
        assert sender.take_dropped() == 19


def test_an_unresolvable_name_costs_a_moment_and_is_counted(
    run_record: RunRecord, make_epoch: Any, make_run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sender, long = Emitter(Address("no-such-host.invalid", 9125)), replace(run_record, config={"epochs": 100})
    started = time.monotonic()
    for epoch in range(1, 101):
        sender.epoch_finished(long, make_epoch(epoch))
    sender.store_operation("put", 0.1, failed=True)
    assert sender.resend(run_points(make_run())) == 0
    assert time.monotonic() - started < 60, "a name server that does not answer costs seconds for each request"
    assert sender.take_dropped() == 100 * 19 + 2 + 196
    assert len(caplog.records) == 1
    assert "no-such-host.invalid:9125: the host's name could not be resolved" in caplog.text


def test_a_full_socket_drops_instead_of_waiting(
    monkeypatch: pytest.MonkeyPatch, run_record: RunRecord, make_epoch: Any
) -> None:
    """Loopback UDP never fills the sender's side, so a datagram socket that does so stands in for a busy interface."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender = Emitter(Address("127.0.0.1", 9125))
    with ours, theirs:
        client = UdpClient(("127.0.0.1", socket.AF_INET), 9125, sender._lost)
        client.close()
        ours.setblocking(False)
        client._sock, sender._route._client = ours, client
        started, long = time.monotonic(), replace(run_record, config={"epochs": 200})
        for epoch in range(1, 201):
            sender.epoch_finished(long, make_epoch(epoch))
        assert time.monotonic() - started < 60
        theirs.setblocking(False)
        arrived = 0
        while True:
            try:
                arrived += theirs.recv(65_535).count(b"\n") + 1
            except BlockingIOError:
                break
        dropped = sender.take_dropped()
        assert dropped > 0
        assert arrived + dropped == 200 * 19


def test_many_threads_lose_nothing(sender: Emitter, receiver: socket.socket) -> None:
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)

    def work() -> None:
        for _ in range(20):
            sender.store_operation("get", 0.001, failed=False)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [receiver.recv(999) for _ in range(160)] == [b"ml.store.operation_duration,operation=get:1.000000|ms"] * 160
    assert sender.take_dropped() == 0


def test_ipv6(run_record: RunRecord, make_attempt: Any) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        receiver.settimeout(PATIENCE)
        Emitter(Address("::1", receiver.getsockname()[1])).stage_finished(run_record, make_attempt())
        assert receiver.recv(999).startswith(b"ml.stage.duration_seconds,")


def test_resending_repeats_every_gauge_and_no_event(make_run: Any) -> None:
    listener, run = Collector(), make_run(epochs=20)
    sender = Emitter(listener.address)
    assert sender.resend(run_points(run)) == 19 * 20 + 158
    listener.close()
    assert len(listener.lines) == len(set(listener.lines)) == 19 * 20 + 158
    assert all(line.endswith("|g") for line in listener.lines)
    assert {line.rpartition(":")[0] for line in listener.lines} == {
        stat(point.metric, point.labels) for point in run_points(run)
    }
    assert sender.take_dropped() == 0


def test_resending_without_a_listener_is_counted(closed_port: int, make_run: Any) -> None:
    sender = Emitter(Address("127.0.0.1", closed_port))
    assert sender.resend(run_points(make_run(epochs=2))) == 0
    assert sender.take_dropped() == 196


def test_what_the_kernel_took_but_no_one_read_does_not_count_as_sent(
    make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitter_module, "RESEND_SECONDS", 0.2)
    listener = Collector(reads=False)
    sender = Emitter(listener.address)
    started = time.monotonic()
    assert sender.resend(run_points(make_run(epochs=2))) == 0
    assert time.monotonic() - started < 60
    assert sender.take_dropped() == 196
    listener.close()


def test_the_environment_says_where_to_send() -> None:
    assert isinstance(observer_from_environment({}), Silent)
    assert isinstance(observer_from_environment({"CATWALK_STATSD": " "}), Silent)
    assert isinstance(observer_from_environment({"CATWALK_STATSD": "127.0.0.1:9125"}), Emitter)
    with pytest.raises(ConfigError, match="CATWALK_STATSD"):
        observer_from_environment({"CATWALK_STATSD": "9125"})


def test_importing_the_emitter_imports_nothing_heavy_and_building_it_looks_up_no_name() -> None:
    code = """
import json, socket, sys
def refuse(*_, **__): raise AssertionError("looked a name up")
socket.getaddrinfo = refuse
from catwalk.telemetry.emitter import observer_from_environment
observer_from_environment({"CATWALK_STATSD": "exporter:9125"})
print(json.dumps([name for name in ("torch", "airflow", "boto3", "yaml", "numpy") if name in sys.modules]))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == []


def test_telemetry_knows_the_ledgers_records_and_nothing_else_of_the_library() -> None:
    code = """
import importlib, json, pkgutil, sys
import catwalk.telemetry
for module in pkgutil.iter_modules(catwalk.telemetry.__path__):
    importlib.import_module(f"catwalk.telemetry.{module.name}")
ours = {"catwalk", "catwalk_courier", "catwalk_exporter", "grafana", "ml", "stack"}
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] in ours)))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in json.loads(answer.stdout) if not name.startswith("catwalk.telemetry")}
    stations = {folder.name for folder in Path(catwalk.__file__).parent.iterdir() if folder.is_dir()}
    of_stations = {name for name in loaded if name.count(".") and name.split(".")[1] in stations}
    assert {name.split(".")[0] for name in loaded} == {"catwalk"}
    of_environment = {"catwalk.environment", "catwalk.environment.checkout"}  # the module that mapping writes
    of_ledger = {name for name in of_stations - of_environment if not f"{name}.".startswith("catwalk.ledger.records.")}
    assert of_ledger == {"catwalk.ledger"}, "besides records, and modules at the root"

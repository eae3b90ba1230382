"""The transport of points by StatsD, and the exporter that reads the ledger."""

from __future__ import annotations

import os
import re
import socket
import time

from catwalk.cli.doctor.asking import TIMEOUT, get, sample
from catwalk.cli.doctor.check import Unwell
from catwalk.environment.parts import part_url, start_command
from catwalk.telemetry import catalogue

_CANARY_WAIT = 2.5
"""Seconds; the canary sends one line a second."""

LOSSES = re.compile(
    r"^statsd_exporter_(events_(?:unmapped|conflict|error)|(?:sample|tag|tcp_connection)_errors|udp_packet_drops|"
    r"tcp_too_long_lines)_total(\{[^}]*\})? (\S+)",
    re.MULTILINE,
)
"""Counters of statsd_exporter for lines that were lost or not mapped: name, labels, value."""


def statsd() -> str:
    address = os.environ.get("CATWALK_STATSD", "")
    if not address:
        raise Unwell(
            "CATWALK_STATSD is not set: runs send no metrics", "set it to host:port of statsd_exporter", "WARN"
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), TIMEOUT).close()
    except (OSError, ValueError) as error:
        raise Unwell(
            f"nothing listens at {address} ({getattr(error, 'strerror', None) or error})",
            f"start statsd_exporter ({start_command()}) or correct CATWALK_STATSD",
        ) from error
    return f"{address} accepts connections"


def canary() -> str:
    name = catalogue.CANARY_RECEIVED.name
    before = sample(part_url("statsd_exporter"), name)
    time.sleep(_CANARY_WAIT)
    after = sample(part_url("statsd_exporter"), name)
    if after <= before:
        raise Unwell(
            "no canary arrives at statsd_exporter over UDP",
            "is the exporter running, with CATWALK_STATSD set to this statsd_exporter?",
        )
    return f"{after - before:.0f} canaries arrived in {_CANARY_WAIT} s"


def statsd_losses() -> str:
    text = get(f"{part_url('statsd_exporter')}/metrics").decode()
    lost = [f"{name}{labels} {float(value):.0f}" for name, labels, value in LOSSES.findall(text) if float(value)]
    if lost:
        raise Unwell(
            f"since its start, statsd_exporter has counted {', '.join(lost)}",
            "see the runbook of StatsdLinesLost, StatsdConflicts or StatsdUnmappedEvents",
            "WARN",
        )
    return "statsd_exporter has read every line"


def exporter() -> str:
    url = part_url("exporter")
    if sample(url, catalogue.STORE_UP.name) != 1:
        raise Unwell(
            f"the exporter at {url} can't read the ledger", "see the line of the store above, and the exporter's log"
        )
    return f"{url} serves the ledger"

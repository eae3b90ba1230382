"""Airflow's StatsD client: it follows a statsd_exporter that moves or comes late, and no metric is lost for its name.

Airflow's own looks statsd_exporter's address up once in a process, and where that fails it sends nothing for good. Its
check of names drops a whole metric whose name and tags exceed 250 characters or hold a space or anything but ASCII.
In ``[metrics]``, both together::

    statsd_custom_client_path = catwalk.telemetry.airflow_statsd.AirflowClient
    stat_name_handler = catwalk.telemetry.airflow_statsd.stat_name

Imports nothing heavy: the scheduler, the DAG processor, the triggerer, the API server and every task load it.
"""

from __future__ import annotations

import logging
import re
import socket
import threading

from statsd import StatsClient

from catwalk.telemetry.wire.address import Address
from catwalk.telemetry.wire.client import DATAGRAM_BYTES, Route, reason
from catwalk.telemetry.wire.labels import label_value

log = logging.getLogger(__name__)


def stat_name(text: str) -> str:
    """Name and tags of a metric, ``ti.finish,dag_id=…,state=…``, so that statsd_exporter reads them as they are meant.

    A tag that would break statsd_exporter gets a name that does not, as Prometheus renames labels that are its own.
    """
    name, *tags = text.split(",")
    pairs = (tag.partition("=") for tag in tags)
    # Without a value a tag is an error to statsd_exporter, and to Prometheus no label.
    kept = [f",{_tag_name(key)}={label_value(value)}" for key, _, value in pairs if key and value]
    return label_value(name) + "".join(kept)


def _tag_name(name: str) -> str:
    """As statsd_exporter reads it. In a timer, `le` would end it; ``__name__`` makes it answer 500 from then on."""
    read = re.sub("[^A-Za-z0-9_]", "_", name)
    return f"exported_{read}" if read == "le" or read.startswith("__") else read


class AirflowClient(StatsClient):  # type: ignore[misc]
    """Looks its host up in the background, again and again. Never raises, and waits for nothing but the name server's
    very first answer, a second at most.
    """

    def __init__(self, host: str, port: int, prefix: str | None = None, ipv6: bool = False) -> None:
        """As Airflow calls it: ``statsd_host``, ``statsd_port``, ``statsd_prefix``, ``statsd_ipv6``."""
        self._prefix = prefix
        self._maxudpsize = DATAGRAM_BYTES
        self._route = Route(Address(host, port, socket.AF_INET6 if ipv6 else socket.AF_INET), self._lost)
        self._lock = threading.Lock()
        self._silent_so_far = True

    def close(self) -> None:
        """Gives the socket back; sending opens another one."""
        self._route.close()

    def _send(self, data: str) -> None:
        with self._lock:
            try:
                self._route.client().transmit(data.encode())
            except OSError as error:
                self._lost(1, reason(error))

    def _lost(self, lines: int, why: str) -> None:
        if self._silent_so_far:
            self._silent_so_far = False
            log.warning("metrics to %s: %s. Tries go on; only this first loss is logged", self._route.address, why)

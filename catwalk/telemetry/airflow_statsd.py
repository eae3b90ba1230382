"""A StatsD client for Airflow: it follows a statsd_exporter that moves or starts late, and loses no metric because of
its name.

Airflow's own client resolves statsd_exporter's address once per process, and never sends anything if that fails. Its
check of names drops a whole metric whose name and tags exceed 250 characters or contain a space or a character outside
ASCII. Set both in ``[metrics]``::

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
    """Returns name and tags of a metric, ``ti.finish,dag_id=…,state=…``, in a form that statsd_exporter reads
    correctly.

    A tag that would break statsd_exporter gets a different name, just as Prometheus renames labels that it reserves.
    """
    name, *tags = text.split(",")
    pairs = (tag.partition("=") for tag in tags)
    # A tag without a value is an error to statsd_exporter, and not a label to Prometheus.
    kept = [f",{_tag_name(key)}={label_value(value)}" for key, _, value in pairs if key and value]
    return label_value(name) + "".join(kept)


def _tag_name(name: str) -> str:
    """Returns a name as statsd_exporter reads it. `le` in a timer would crash statsd_exporter; ``__name__`` makes it
    answer 500 from then on.
    """
    read = re.sub("[^A-Za-z0-9_]", "_", name)
    return f"exported_{read}" if read == "le" or read.startswith("__") else read


class AirflowClient(StatsClient):  # type: ignore[misc]
    """A client that resolves its host in the background, repeatedly. It never raises, and waits only for the name
    server's first answer, for at most a second.
    """

    def __init__(self, host: str, port: int, prefix: str | None = None, ipv6: bool = False) -> None:
        """Takes Airflow's settings: ``statsd_host``, ``statsd_port``, ``statsd_prefix``, ``statsd_ipv6``."""
        self._prefix = prefix
        self._maxudpsize = DATAGRAM_BYTES
        self._route = Route(Address(host, port, socket.AF_INET6 if ipv6 else socket.AF_INET), self._lost)
        self._lock = threading.Lock()
        self._silent_so_far = True

    def close(self) -> None:
        """Closes the socket; sending opens another one."""
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
            log.warning("metrics to %s: %s. Retries continue; only this first loss is logged", self._route.address, why)

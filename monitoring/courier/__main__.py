"""Takes Alertmanager's notifications, keeps and shows them, and calls out when the alarm chain itself falls silent.

    python -m monitoring.courier [--host 127.0.0.1] [--port 9181]

`POST /alertmanager` is Alertmanager's webhook; `/` shows notifications, `/runbooks/` what to do about them,
`/api/notifications` the former as JSON; `/metrics`, `/healthz`. `POST /planned-stop` with `{"seconds": 600}` announces
that the Watchdog will be silent on purpose, with 0 that this is over. All is kept in `courier/` in `CATWALK_HOME`.

Environment: `CATWALK_PORT_COURIER`; `CATWALK_DEADMAN_SECONDS` (60) and `CATWALK_DEADMAN_GRACE_SECONDS` (300), the
silence of the Watchdog that is called out, once it was heard and before; `CATWALK_CALLOUT_COMMAND` and the files of
:mod:`monitoring.receivers`, by which it calls out; `CATWALK_HEARTBEAT_URL`, `CATWALK_HEARTBEAT_SECONDS` (60), what is
fetched while all is well; `CATWALK_GRAFANA_URL` and `CATWALK_GRAFANA_TOKEN` for annotations;
`CATWALK_COURIER_RETRY_SECONDS` (5), the pause after the first failure of these, doubled after each further one.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
import threading
import time

from ml.errors import CatwalkError, ConfigError
from monitoring.courier.server import Server
from monitoring.courier.service import Service, Settings

log = logging.getLogger("catwalk.courier")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # Looked at again and again: a signal that comes just before a thread waits for a lock does not end that wait.
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopped.append(received))
    try:
        service = Service(Settings.from_environment())
        server = _bind(options.host, options.port, service)
    except CatwalkError as error:
        print(f"catwalk courier: {error}", file=sys.stderr)
        return 1
    service.start()
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    log.info("courier listens at http://%s:%d", *server.server_address[:2])
    while not stopped:
        time.sleep(0.2)
    server.shutdown()
    service.stop()
    sys.stderr.flush()
    # A call-out that hangs is tried again after the next start; it must not hold up this end.
    os._exit(0)


def _bind(host: str, port: int, service: Service) -> Server:
    try:
        return Server((host, port), service)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is taken; stop what listens there, or choose another with --port"
            ) from error
        raise ConfigError(f"can't listen on {host}:{port}: {error.strerror}") from error
    except OverflowError as error:
        raise ConfigError(f"{port} is no port number") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.courier", description="Keeps and shows notifications, and watches the Watchdog."
    )
    port = os.environ.get("CATWALK_PORT_COURIER") or "9181"
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=port, help="port to listen on (default %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

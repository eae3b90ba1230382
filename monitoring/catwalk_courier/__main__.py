"""Takes Alertmanager's notifications, keeps and shows them, and calls out when the alarm chain itself falls silent.

    python -m catwalk_courier [--host 127.0.0.1] [--port 9181]

`POST /alertmanager` is Alertmanager's webhook; `/` shows notifications, `/runbooks/` what to do about them,
`/api/notifications` the former as JSON; `/metrics`, `/healthz`. `POST /planned-stop` with `{"seconds": 600}` announces
that the Watchdog will be silent on purpose, with 0 that this is over. `POST /test-callouts` with `{}` calls out for a
test, and answers what came back. Pages are for everybody; posting needs the user `catwalk` and
`CATWALK_MONITORING_PASSWORD`. All is kept in `courier/` in `CATWALK_HOME`.

Environment: `CATWALK_MONITORING_PASSWORD`; `CATWALK_PORT_COURIER`; `CATWALK_DEADMAN_SECONDS` (60) and
`CATWALK_DEADMAN_GRACE_SECONDS` (300), the silence of the Watchdog that is called out, once it was heard and before;
`CATWALK_CALLOUT_COMMAND` and the files of :mod:`catwalk.notifications.receivers`, by which it calls out;
`CATWALK_HEARTBEAT_URL`, `CATWALK_HEARTBEAT_SECONDS` (60), what is fetched while all is well; `CATWALK_GRAFANA_URL` and
`CATWALK_GRAFANA_TOKEN` for annotations; `CATWALK_COURIER_RETRY_SECONDS` (5), the pause after the first failure of
these, doubled after each further one.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading

from catwalk import extras
from catwalk.errors import CatwalkError
from catwalk.web import serving
from catwalk.web.serving import StopSignals

with extras.required("courier"):
    from catwalk_courier.server import Server
    from catwalk_courier.service import Service, Settings

log = logging.getLogger("catwalk.courier")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    stop = StopSignals()
    try:
        service = Service(Settings.from_environment())
        server = serving.bind(lambda address: Server(address, service), options.host, options.port)
    except CatwalkError as error:
        print(f"catwalk courier: {error}", file=sys.stderr)
        return 1
    service.start()
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    log.info("courier listens at http://%s:%d", *server.server_address[:2])
    stop.wait()
    server.shutdown()
    service.stop()
    sys.stderr.flush()
    # A call-out that hangs is tried again after the next start; it must not hold up this end.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m catwalk_courier", description="Keeps and shows notifications, and watches the Watchdog."
    )
    port = os.environ.get("CATWALK_PORT_COURIER") or "9181"
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=port, help="port to listen on (default %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())

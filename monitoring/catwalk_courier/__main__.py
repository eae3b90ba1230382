"""Receives Alertmanager's notifications, stores and shows them, and makes a callout when the alert chain itself is
silent.

    python -m catwalk_courier [--host 127.0.0.1] [--port 9181]

`POST /alertmanager` is Alertmanager's webhook; `/` shows notifications, `/runbooks/` what to do about them,
`/api/notifications` the notifications as JSON; there are also `/metrics` and `/healthz`. `POST /planned-stop` with
`{"seconds": 600}` announces that the Watchdog will be silent on purpose; with 0, that this is over. `POST
/test-callouts` with `{}` makes test callouts, and returns their results. Everyone can read the pages; posting needs the
user `catwalk` and `CATWALK_MONITORING_PASSWORD`. Everything is stored in `courier/` in `CATWALK_HOME`.

Environment: `CATWALK_MONITORING_PASSWORD`; `CATWALK_PORT_COURIER`; `CATWALK_DEADMAN_SECONDS` (60) and
`CATWALK_DEADMAN_GRACE_SECONDS` (300), how long the Watchdog may be silent before a callout, once it was heard and
before; `CATWALK_CALLOUT_COMMAND` and the files of :mod:`catwalk.notifications.receivers`, the channels of callouts;
`CATWALK_HEARTBEAT_URL`, `CATWALK_HEARTBEAT_SECONDS` (60), which is fetched while all is well; `CATWALK_GRAFANA_URL` and
`CATWALK_GRAFANA_TOKEN` for annotations; `CATWALK_COURIER_RETRY_SECONDS` (5), the pause after their first failure,
doubled after each further one. If `CATWALK_STORE` names a ledger, alerts can request retraining, as far as people allow
it (:mod:`catwalk_courier.retraining`): `CATWALK_AIRFLOW_URL`, `CATWALK_AIRFLOW_USER` and `CATWALK_AIRFLOW_PASSWORD`;
`CATWALK_PROMETHEUS_URL` and `CATWALK_ALERTMANAGER_URL`; `CATWALK_RETRAINING_SECONDS` (15), between two checks;
`CATWALK_RETRAINING_WARMUP_SECONDS` (900), how long after Alertmanager's start an alert that it lacks may be firing. A
version in service also gets a baseline of its first 28 full days (:mod:`catwalk_courier.baselines`), unless
`CATWALK_AUTOMATIC_BASELINE` is `off`.
"""

from __future__ import annotations

import sys

from catwalk import extras
from catwalk.entry_point import entry_point
from catwalk.web import serving

with extras.required("courier"):
    from catwalk_courier.server import Server
    from catwalk_courier.service import Service, Settings


@entry_point("catwalk courier")
def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    about = "Stores and shows notifications, and watches the Watchdog."
    options = serving.options("catwalk_courier", about, "CATWALK_PORT_COURIER", "9181").parse_args(arguments)
    serving.run("courier", lambda: Service(Settings.from_environment()), Server, options.host, options.port)


if __name__ == "__main__":
    sys.exit(main())

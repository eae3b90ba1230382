"""Serves the run ledger to Prometheus and to people.

    python -m catwalk_exporter [--host 127.0.0.1] [--port 9180] [--refresh 5]

Besides `/metrics` it serves `/healthz`, the list of runs at `/`, comparisons of runs at
`/compare?run=<run_id>&run=<run_id>`, the models at `/models`, and for each run its report at `/runs/<run_id>` with
`/runs/<run_id>/figures/<name>.png`, and its current facts at `/runs/<run_id>/facts`. The facts also replace a missing
report. A request builds the missing report of a run that has ended, or a comparison.

Environment: `CATWALK_STORE` and boto3's variables; `CATWALK_PORT_EXPORTER`; `CATWALK_STATSD` for the canary;
`CATWALK_AIRFLOW_URL` (if unset, no Airflow is watched), and `CATWALK_AIRFLOW_USER` and `CATWALK_AIRFLOW_PASSWORD` to
see which DAGs are paused; `CATWALK_<PART>_PUBLIC_URL` if people open a different address from programs;
`CATWALK_DISKS`, the folders whose file systems are watched, as ``name=path,…``; `CATWALK_SCHEDULE`, when runs are due,
and `CATWALK_SCHEDULE_SECONDS`, which takes precedence; `CATWALK_STALLED_SECONDS`, how long a running run may be silent
before it counts as stalled (default 600); `CATWALK_PROMETHEUS_URL`, `CATWALK_ALERTMANAGER_URL`, `CATWALK_GRAFANA_URL`
and `CATWALK_EXPORTER_URL` for links.
"""

from __future__ import annotations

import argparse
import sys

from catwalk import extras
from catwalk.entry_point import entry_point
from catwalk.web import serving

with extras.required("exporter"):
    from catwalk_exporter.canary import canary_from_environment
    from catwalk_exporter.exposition import Settings
    from catwalk_exporter.service import Exporter, Server


@entry_point("catwalk exporter")
def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    options = _parser().parse_args(arguments)
    # Reading and parsing hold Python's lock; a shorter switch interval than the default keeps scrapes from waiting.
    sys.setswitchinterval(0.001)
    serving.run(
        "exporter",
        lambda: Exporter(Settings.from_environment(), options.refresh, canary_from_environment()),
        Server,
        options.host,
        options.port,
    )


def _parser() -> argparse.ArgumentParser:
    about = "Serves the run ledger to Prometheus."
    parser = serving.options("catwalk_exporter", about, "CATWALK_PORT_EXPORTER", "9180")
    parser.add_argument(
        "--refresh", type=_seconds, default=5.0, help="seconds between two reads of the ledger (default %(default)s)"
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be above 0 and at most 3600 seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())

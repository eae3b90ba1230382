"""All files of a bundle, as text; their content does not depend on their folder."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from catwalk import assets
from catwalk.bundle import alertmanager, dashboards, page, rules
from catwalk.bundle.options import SCRAPE_SECONDS, Options
from catwalk.bundle.promql import Scope, rewritten

_TARGETS = {
    "exporter": "exporter.example.com:9180",
    "statsd_exporter": "statsd-exporter.example.com:9102",
    "courier": "courier.example.com:9181",
}
_MAPPING = Path(__file__).parents[1] / "telemetry" / "statsd_mapping.yaml"
HEAD = "# Made by `catwalk bundle`, which overwrites it: run that with other options instead of changing this file."

_AIRFLOW = """\
# Airflow's metrics with tags instead of names that contain the DAG's id, and each only once.
AIRFLOW__METRICS__STATSD_ON=True
AIRFLOW__METRICS__STATSD_HOST=statsd-exporter.example.com
AIRFLOW__METRICS__STATSD_PORT=9125
AIRFLOW__METRICS__STATSD_PREFIX=airflow
AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED=True
AIRFLOW__METRICS__LEGACY_NAMES_ON=False
# For 2.11, which otherwise sends some durations in seconds; other versions ignore it.
AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY=True
# Only if Catwalk is installed in every environment of Airflow: follows a statsd_exporter that moves or starts late.
# AIRFLOW__METRICS__STATSD_CUSTOM_CLIENT_PATH=catwalk.telemetry.airflow_statsd.AirflowClient
# AIRFLOW__METRICS__STAT_NAME_HANDLER=catwalk.telemetry.airflow_statsd.stat_name
"""


_NOTE = """\
> `make …`, and files below `.catwalk` and `.tools`, belong to Catwalk's own stack. You run its servers differently, so
> inspect, start, stop and silence them with your own tools, such as `systemctl` or `kubectl`. `catwalk …` works >
anywhere.
"""


def contents(options: Options) -> dict[str, str]:
    """Returns the text of each file, by its path in the bundle.

    Raises:
        ConfigError: an option names a threshold that does not exist.
    """
    made = rules.rendered(options)
    ours = rules.scope(options, rules.committed(options.windows))
    return {
        "README.md": page.text(options, made),
        "airflow/metrics.env": f"{HEAD}\n{_AIRFLOW}",
        "alertmanager/catwalk.tmpl": alertmanager.template(options),
        "alertmanager/catwalk.yml": alertmanager.fragment(options, HEAD),
        **{f"grafana/dashboards/{name}": text for name, text in dashboards.rendered(options, ours).items()},
        "grafana/provisioning.yml": f"{HEAD}\n{dashboards.provider(options)}",
        **{f"prometheus/rules/{file.name}": rules.dump(file, HEAD) for file in made if file.groups},
        "prometheus/scrape.yml": _scrape(options),
        **_runbooks(set().union(*(file.alerts for file in made)), options, ours),
        "statsd/mapping.yaml": _MAPPING.read_text(),
    }


def _scrape(options: Options) -> str:
    """Returns the jobs that rules and dashboards expect; the guest sets their targets."""
    jobs = [
        {
            "job_name": job,
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "scrape_timeout": f"{SCRAPE_SECONDS}s",
            "sample_limit": 200_000,
            "extra_scrape_metrics": True,
            "static_configs": [
                {"targets": [_TARGETS[part]], **({"labels": dict(options.labels)} if options.labels else {})}
            ],
        }
        for part, job in options.scraped.items()
    ]
    return f"{HEAD}\n{yaml.safe_dump({'scrape_configs': jobs}, sort_keys=False)}"


def _runbooks(alerts: set[str], options: Options, ours: Scope) -> dict[str, str]:
    """Returns a page for each alert that can fire, with queries for our series."""
    found = {}
    for path in sorted(assets.path("prometheus/runbooks").glob("*.md")):
        if rules.alert_name(path.stem) in alerts:
            found[f"runbooks/{path.name}"] = _runbook(path.read_text(), ours)
    return found


def _runbook(text: str, ours: Scope) -> str:
    def asked(block: re.Match[str]) -> str:
        found = (rewritten(line, ours) for line in block[1].splitlines() if line.strip())
        lines = [" ".join(line.split()) for line in found if line is not None]
        return "```promql\n" + "".join(f"{line}\n" for line in lines) + "```"

    text = re.sub(r"^```promql\n(.*?)^```", asked, text, flags=re.MULTILINE | re.DOTALL)
    title, rest = text.split("\n", 1)
    return f"{title}\n\n{_NOTE}{rest}"

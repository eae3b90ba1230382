"""The bundle's README: where each file goes, and what was left out."""

from __future__ import annotations

from catwalk.bundle import rules
from catwalk.bundle.options import Options


def text(options: Options, made: list[rules.RuleFile]) -> str:
    """Returns the README as Markdown."""
    alerts = set().union(*(file.alerts for file in made))
    return "\n".join([_HEAD, *_where(options), "", *_series(options), "", *_left_out(alerts), ""])


_HEAD = """\
# Catwalk, for your servers

Made by `catwalk bundle`. Run it again, with other options or a newer Catwalk, instead of changing a file: it replaces
its own files, removes those that it no longer makes, and leaves yours alone.

| folder or file | goes to |
|---|---|"""


def _where(options: Options) -> list[str]:
    rows = [
        ("`airflow/metrics.env`", "Airflow: the environment of every component, with the host of statsd_exporter"),
        ("`statsd/mapping.yaml`", "statsd_exporter: `--statsd.mapping-config=mapping.yaml`"),
        (
            "`prometheus/scrape.yml`",
            "Prometheus: `scrape_config_files`, or add its jobs to yours. Set their targets in a copy",
        ),
        ("`prometheus/rules/`", 'Prometheus: `rule_files: ["…/prometheus/rules/*.yml"]`'),
        (
            "`alertmanager/catwalk.yml`",
            "Alertmanager: merge its three lists into yours, and give `catwalk` and each `catwalk/OWNER` your "
            "integrations",
        ),
        (
            "`alertmanager/catwalk.tmpl`",
            "Alertmanager: `templates`; the texts are `catwalk.subject`, `.text`, `.html` and `.slack`",
        ),
        ("`grafana/dashboards/`", f"Grafana: `/etc/grafana/catwalk{options.suffix}/dashboards`, or *Import*"),
        (
            "`grafana/provisioning.yml`",
            f"Grafana: `provisioning/dashboards/catwalk{options.suffix}.yml`; it creates the folder *{options.folder}*",
        ),
        (
            "`runbooks/`",
            f"<{options.courier_url or options.runbooks_url}>"
            + (", which serves these pages" if options.courier_url else ", to which alerts link"),
        ),
    ]
    return [f"| {what} | {where} |" for what, where in rows]


def _series(options: Options) -> list[str]:
    jobs = ", ".join(f"`{name}` ({part})" for part, name in options.scraped.items())
    lines = ["## Which series are Catwalk's", "", f"The series of these jobs: {jobs}."]
    if options.labels:
        wanted = ", ".join(f'`{name}="{value}"`' for name, value in options.labels.items())
        lines += [f"Each must have {wanted}, as in `prometheus/scrape.yml`; recorded series have it too."]
    datasource = f"the Prometheus `{options.datasource}`" if options.datasource else "Grafana's default Prometheus"
    return [
        *lines,
        f"Dashboards open with {datasource}; you can choose another one under *Prometheus*, above the panels.",
    ]


def _left_out(alerts: set[str]) -> list[str]:
    """Returns which alerts of Catwalk's own stack are not in the bundle."""
    every = set().union(*(file.alerts for file in rules.committed()))
    gone = ", ".join(sorted(name for name in every if rules.alert_name(name) not in alerts))
    return ["## Which alerts are not here", "", f"Alerts about servers that you already watch: {gone}."]

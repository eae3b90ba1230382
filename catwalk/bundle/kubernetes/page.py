"""The README of a bundle for a cluster."""

from __future__ import annotations

from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.kubernetes.servers import model_part
from catwalk.bundle.options import Options


def text(options: Options, cluster: Cluster, plain: str) -> str:
    """Markdown.

    Args:
        plain: The README of a bundle of files, whose sections apply here too.
    """
    sections = plain[plain.index("## Which series") :].replace("`prometheus/scrape.yml`", "`kubernetes/monitors.yaml`")
    return "\n".join([_HEAD, *_table(_where(options, cluster)), "", *_named(options, cluster), "", sections])


_HEAD = """\
# Catwalk, for your cluster

Made by `catwalk bundle --format kubernetes`. Run it again, with other options or a newer Catwalk, instead of changing a
file: it replaces its own files, removes those that it no longer makes, and leaves yours alone.

| folder or file | goes to |
|---|---|"""


def _table(rows: list[tuple[str, str]]) -> list[str]:
    return [f"| {what} | {where} |" for what, where in rows]


def _where(options: Options, cluster: Cluster) -> list[tuple[str, str]]:
    runbooks = ", which has these pages" if options.courier_url else ", where alerts link to"
    return [
        ("`kubernetes/`", f"the namespace `{cluster.namespace}`: `kubectl apply --server-side -f kubernetes/`"),
        ("`airflow/values.yaml`", "Airflow's official Helm chart, beside your values; merge its list `env` into yours"),
        (
            "`alertmanager/`",
            "Alertmanager: merge the lists of `catwalk.yml` into yours, and give `catwalk` and each `catwalk/OWNER` "
            "your integrations; `catwalk.tmpl` is optional",
        ),
        ("`runbooks/`", f"<{options.courier_url or options.runbooks_url}>{runbooks}"),
    ]


def _named(options: Options, cluster: Cluster) -> list[str]:
    """The objects that the manifests refer to, and that you create."""
    courier = cluster.called("courier")
    rows = [
        (f"Secret `{cluster.called('exporter')}`", "keys of the bucket and Airflow's password, as variables; optional"),
        (f"ConfigMap `{cluster.name}-settings`", "other variables of exporter and courier; optional"),
    ]
    if options.courier_url:
        rows += [
            (f"Secret `{courier}`", "`CATWALK_MONITORING_PASSWORD`, in Alertmanager's namespace too"),
            (f"Secret `{courier}-receivers`", "files with the receivers of the courier's callouts; optional"),
        ]
    rows += [
        (
            f"Secret `{cluster.called(model_part(model))}`",
            f"keys of the bucket, and `CATWALK_SERVE_TOKEN` for {model}; optional",
        )
        for model in cluster.served
    ]
    return ["Create these objects yourself:", "", "| object | holds |", "|---|---|", *_table(rows)]

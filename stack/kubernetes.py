"""Prints our rules as PrometheusRule manifests, for the Prometheus operator in Kubernetes.

    python -m stack.kubernetes [--label NAME=VALUE …] | kubectl apply --server-side -f -

One manifest a rule file, with the file's very text. The operator loads those whose labels its `ruleSelector` asks for
(kube-prometheus-stack: `--label release=RELEASE`). Links in alerts begin with the external labels `runbooks`, `grafana`
and `exporter`, which the Prometheus resource has to set.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import yaml

from catwalk.entry_point import entry_point
from stack.settings import PROJECT

RULES = PROJECT / "prometheus" / "rules"


def manifests(labels: Mapping[str, str], rules: Path = RULES) -> str:
    """YAML documents of the kind PrometheusRule (monitoring.coreos.com/v1), one a rule file.

    Args:
        labels: of each manifest.
        rules: folder of rule files.
    """
    documents = []
    for path in sorted(rules.glob("*.yml")):
        head = {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": "catwalk-" + re.sub(r"[^a-z0-9]+", "-", path.stem),
                "labels": {"app.kubernetes.io/part-of": "catwalk", **labels},
            },
        }
        text = textwrap.indent(path.read_text(), "  ")
        documents.append(f"---\n{yaml.safe_dump(head, sort_keys=False)}spec:\n{text}")
    return "".join(documents)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


@entry_point("stack")
def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m stack.kubernetes", description="Print our rules as PrometheusRule manifests."
    )
    parser.add_argument(
        "--label", action="append", default=[], type=_label, metavar="NAME=VALUE", help="of each manifest; repeatable"
    )
    print(manifests(dict(parser.parse_args(arguments).label)), end="")


if __name__ == "__main__":
    sys.exit(main())

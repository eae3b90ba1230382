"""docs/kubernetes.md: its commands write the bundles, and everything that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from grafana.dashboards import DASHBOARDS
from stack.settings import PROJECT
from tests.catwalk.bundle.test_pages import typed

pytestmark = pytest.mark.integration

PAGE = (PROJECT / "docs" / "kubernetes.md").read_text()


def block(kind: str) -> str:
    [found] = re.findall(rf"^```sh {kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def manifests(folder: Path) -> list[dict[str, object]]:
    texts = [path.read_text() for path in sorted((folder / "kubernetes").glob("*.yaml"))]
    return [each for text in texts for each in yaml.load_all(text, yaml.CSafeLoader)]


def test_what_is_applied_and_made_is_what_the_manifests_name(tmp_path: Path) -> None:
    typed(block("bundle"), tmp_path)
    text = "".join(path.read_text() for path in (tmp_path / "catwalk-bundle").rglob("*") if path.is_file())
    said = block("apply") + PAGE.partition("## Apply it")[2].partition("## Prometheus")[0]
    for kind, name in re.findall(r"create (?:namespace|(secret generic|configmap)) ([a-z-]+)", said):
        assert re.search(rf"\b(name|secretName|namespace): {name}$", text, re.MULTILINE), (kind, name)
    for kind, name in re.findall(r"(Secret|ConfigMap|ServiceAccount) `([a-z-]+)`", said):
        assert re.search(rf"\b(name|secretName|serviceAccountName): {name}$", text, re.MULTILINE), (kind, name)
    for path in re.findall(r"catwalk-bundle/[\w/.-]+", block("apply") + block("airflow")):
        assert (tmp_path / path).exists(), path
    assert "/etc/alertmanager/secrets/catwalk-courier/CATWALK_MONITORING_PASSWORD" in text
    labels = [each["metadata"]["labels"]["release"] for each in manifests(tmp_path / "catwalk-bundle")]  # type: ignore[index]
    assert set(labels) == {"kube-prometheus-stack"}


def test_two_catwalks_share_no_object_and_no_dashboard(tmp_path: Path) -> None:
    assert typed(block("two"), tmp_path).count("wrote ") == 2
    every = [each for team in ("growth", "search") for each in manifests(tmp_path / f"catwalk-{team}")]
    names = [(each["kind"], each["metadata"]["name"]) for each in every]  # type: ignore[index]
    assert len(set(names)) == len(names)
    boards = [name for each in every if each["kind"] == "ConfigMap" for name in each["data"] if name != "mapping.yaml"]  # type: ignore[attr-defined]
    assert len(set(boards)) == len(boards) == 2 * len(DASHBOARDS)


def test_variables_that_the_page_names_are_documented() -> None:
    settings = (PROJECT / "docs" / "configuration.md").read_text()
    for name in re.findall(r"`((?:CATWALK|AWS)_\w+)`", PAGE):
        assert f"`{name}`" in settings, name

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from catwalk.telemetry import mapping
from catwalk.telemetry.airflow_metrics import airflow_rules, load_registry
from catwalk.telemetry.catalogue import Metric, by_transport
from catwalk.telemetry.mapping import generated, main, own_rules


def test_the_committed_files_are_what_the_generator_writes() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, f"{path.name} is out of date: run `python -m catwalk.telemetry.mapping`"


def test_check_says_which_file_is_out_of_date_and_writing_fixes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mapping, "MAPPING", tmp_path / "statsd_mapping.yaml")
    monkeypatch.setattr(mapping, "PAGE", tmp_path / "metrics.md")
    assert main(["--check"]) == 1
    assert "metrics.md is out of date: run `python -m catwalk.telemetry.mapping`" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_the_page_lists_every_metric_and_every_reason() -> None:
    page = mapping.PAGE.read_text()
    for metric in by_transport("exporter") + by_transport("statsd"):
        assert f"| `{metric.name}` |" in page
    for rule in airflow_rules(load_registry()):
        assert (f"| `{rule.metric.name}` |" if rule.metric else rule.reason.replace("|", "\\|")) in page


def test_rules_are_unique_and_one_name_means_one_family() -> None:
    rules = own_rules() + airflow_rules(load_registry())
    assert len({rule.match for rule in rules}) == len(rules)
    families: dict[str, Metric] = {}
    for rule in rules:
        if rule.metric:
            assert families.setdefault(rule.metric.name, rule.metric) == rule.metric


def test_a_dropped_metric_has_its_reason_beside_it() -> None:
    lines = mapping.MAPPING.read_text().splitlines()
    for number, line in enumerate(lines):
        if line == "    action: drop":
            start = max(index for index in range(number) if lines[index].startswith("  - match:"))
            assert lines[start - 1].startswith("  # "), lines[start]


def test_only_gauges_expire_and_nothing_matches_everything() -> None:
    document = yaml.safe_load(mapping.MAPPING.read_text())
    assert "ttl" not in document["defaults"]
    names = {rule.metric.name: rule.metric for rule in own_rules() + airflow_rules(load_registry()) if rule.metric}
    for entry in document["mappings"]:
        expires = entry["name"] in names and names[entry["name"]].kind == "gauge"
        assert ("ttl" in entry) == expires, entry
        assert entry["match"].removeprefix("^").startswith(("airflow", "ml.", "catwalk.", "(go|", "(airflow"))


def test_labels_have_no_name_of_one_character() -> None:
    """statsd_exporter refuses them at its start."""
    for rule in own_rules() + airflow_rules(load_registry()):
        assert all(len(label) > 1 for label in rule.fixed)

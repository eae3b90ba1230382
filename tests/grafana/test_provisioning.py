"""Provisioning: only fields that Grafana's documentation has, fixed uids, and addresses from the environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from catwalk.environment.addresses import PORTS
from grafana.__main__ import FOLDER
from grafana.board import all_panels
from grafana.dashboards import DASHBOARDS
from stack import grafana
from stack.settings import Settings

PROVISIONING = FOLDER.parent / "provisioning"
# From "Provision Grafana" and the two data sources' own pages of Grafana's documentation.
DATA_SOURCE = {
    *("name", "type", "access", "orgId", "uid", "url", "user", "database", "basicAuth", "basicAuthUser"),
    *("withCredentials", "isDefault", "jsonData", "secureJsonData", "version", "editable"),
}
JSON_DATA = {
    "prometheus": {
        *("httpMethod", "manageAlerts", "allowAsRecordingRulesTarget", "prometheusType", "prometheusVersion"),
        *("cacheLevel", "timeInterval", "queryTimeout", "customQueryParameters", "disableRecordingRules"),
        *("incrementalQuerying", "incrementalQueryOverlapWindow", "exemplarTraceIdDestinations", "defaultEditor"),
    },
    "alertmanager": {"implementation", "handleGrafanaManagedAlerts"},
}
PROVIDER = {
    *("name", "orgId", "folder", "folderUid", "type", "disableDeletion", "editable", "updateIntervalSeconds"),
    *("allowUiUpdates", "options"),
}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROVISIONING / name / "catwalk.yml").read_text())
    return found


def test_data_sources_have_fixed_uids_and_documented_fields() -> None:
    file = read("datasources")
    assert file.keys() <= {"apiVersion", "prune", "deleteDatasources", "datasources"}
    assert file["apiVersion"] == 1
    found = {source["uid"]: source for source in file["datasources"]}
    assert found.keys() == {"catwalk-prometheus", "catwalk-alertmanager"}
    for source in found.values():
        assert source.keys() <= DATA_SOURCE
        assert source["jsonData"].keys() <= JSON_DATA[source["type"]]
        assert source["editable"] is False
        assert re.fullmatch(r"\$\{CATWALK_\w+_URL\}", source["url"])
        assert (source["basicAuth"], source["basicAuthUser"]) == (True, "catwalk")
        assert source["secureJsonData"] == {"basicAuthPassword": "${CATWALK_MONITORING_PASSWORD}"}
    assert not any(source.get("isDefault") for source in found.values()), "a Grafana with two defaults does not start"


def test_grafana_finds_every_folder_that_it_looks_for() -> None:
    """It logs an error for each that is missing. git keeps no empty folder."""
    assert {path.name for path in PROVISIONING.iterdir()} == {"alerting", "dashboards", "datasources", "plugins"}


def test_dashboards_come_from_the_folder_that_holds_them_and_cannot_be_changed_in_the_browser() -> None:
    file = read("dashboards")
    assert file.keys() == {"apiVersion", "providers"}
    (provider,) = file["providers"]
    assert provider.keys() <= PROVIDER
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert provider["options"] == {"path": "${CATWALK_GRAFANA_DASHBOARDS}"}
    source = next(source for source in read("datasources")["datasources"] if source["type"] == "prometheus")
    for dashboard in DASHBOARDS:
        variable = next(found for found in dashboard["templating"]["list"] if found["type"] == "datasource")
        assert variable["current"] == {"selected": True, "text": source["name"], "value": source["uid"]}
        assert all_panels(dashboard)


def test_every_variable_of_the_files_is_in_the_environment_that_the_stack_gives(tmp_path: Path) -> None:
    settings = Settings(tmp_path, {**PORTS}, interval="7s")
    environment = grafana.environment(settings, "secret")
    text = "".join(path.read_text() for path in PROVISIONING.glob("*/*.yml"))
    needed = set(re.findall(r"\$\{(\w+)\}", re.sub(r"#.*", "", text)))
    given_to_all = {"CATWALK_PROMETHEUS_URL", "CATWALK_ALERTMANAGER_URL", "CATWALK_MONITORING_PASSWORD"}
    assert needed - environment.keys() == given_to_all
    assert environment["CATWALK_SCRAPE_INTERVAL"] == "7s"
    assert Path(environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).is_file()
    assert Path(environment["GF_PATHS_PROVISIONING"]) == PROVISIONING
    assert environment["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_grafana_is_started_with_its_own_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "defaults.ini").touch()
    started = grafana.command(tmp_path / "bin" / "grafana", Settings(tmp_path / "home"))
    assert started[1:3] == ["server", f"--homepath={tmp_path}"]

"""``catwalk alerts`` with a real Alertmanager and a real courier."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from catwalk.cli.doctor import monitoring
from catwalk.cli.doctor.check import Unwell
from catwalk.cli.main import main
from catwalk.clients import access
from catwalk.clients.alertmanager import active_alerts, end_planned_silences, silence_all
from catwalk.ledger.models.watched import add
from catwalk.ledger.records.model import WatchedRecord
from catwalk.notifications import receivers
from catwalk.storage.opening import open_store
from tests.support.notifying import LINKS, RUN, Alertmanager, CourierProcess
from tests.support.servers import MONITORING_PASSWORD, wait_until

pytestmark = pytest.mark.integration


OF_GROWTH = {"model": "mlp", "run_id": RUN, "owner": "growth"}


@dataclass(frozen=True)
class Pair:
    alertmanager: Alertmanager
    courier: CourierProcess


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("alerts")
    courier = CourierProcess(home)
    alertmanager = Alertmanager(home / "alertmanager", receivers.read(home / "receivers"), courier.url)
    alertmanager.post({"alertname": "Watchdog", "severity": "none"})
    alertmanager.post(
        {"alertname": "StatsdExporterDown", "severity": "critical", "area": "telemetry", "job": "statsd_exporter"},
        summary="statsd_exporter is down",
    )
    alertmanager.post(
        {"alertname": "TelemetryIncomplete", "severity": "warning", "area": "telemetry"},
        summary="13 points of a run are missing",
    )
    alertmanager.post(
        {"alertname": "ModelPlateaued", "severity": "info", "area": "model", **OF_GROWTH},
        summary="Validation loss of mlp [stands] still",
    )
    wait_until(lambda: len(courier.told()["notifications"]) == 3, "notifications of all alerts that are not inhibited")
    yield Pair(alertmanager, courier)
    alertmanager.stop()
    courier.stop()


@pytest.fixture(autouse=True)
def environment(pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CATWALK_ALERTMANAGER_URL", pair.alertmanager.url)
    monkeypatch.setenv("CATWALK_COURIER_URL", pair.courier.url)
    monkeypatch.setenv("CATWALK_MONITORING_PASSWORD", MONITORING_PASSWORD)
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "110")


def run(*arguments: str) -> None:
    """Runs a ``catwalk`` command that must succeed."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 0


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_firing_alerts_the_worst_first(capsys: pytest.CaptureFixture[str]) -> None:
    run("alerts")
    found = lines(capsys)
    assert re.match(r"severity +alert +for +state +what", found[0])
    assert re.match(r"critical +StatsdExporterDown .+ active +statsd_exporter is down", found[1])
    assert "job=statsd_exporter" in found[2]
    assert re.match(r"info +ModelPlateaued .+ active +Validation loss of mlp \[stands\] still", found[3])
    assert f"model=mlp owner=growth run_id={RUN}" in found[4]
    assert re.match(r"warning +TelemetryIncomplete .+ inhibited +13 points of a run", found[5])
    assert "Watchdog" not in "".join(found)


def test_history_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    run("alerts", "--history", "--limit", "10")
    text = "\n".join(lines(capsys))
    assert re.search(r"critical +StatsdExporterDown +fires +statsd_exporter is down", text)
    run("alerts", "--history", "--json")
    found = json.loads(capsys.readouterr().out)
    assert {alert["labels"]["alertname"]: alert["state"] for alert in found["firing"]}[
        "TelemetryIncomplete"
    ] == "inhibited"
    assert found["deadman"]["calls_out_by"] == []
    told = {one["labels"]["alertname"] for one in found["notifications"]}
    assert told >= {"ModelPlateaued", "StatsdExporterDown", "Watchdog"}
    assert "TelemetryIncomplete" not in told, "it is inhibited"
    run("alerts", "--json")
    assert json.loads(capsys.readouterr().out).keys() == {"firing"}


def test_alerts_of_one_owner(capsys: pytest.CaptureFixture[str]) -> None:
    for owner, expected in (("growth", {"ModelPlateaued", "Watchdog"}), ("risk", {"Watchdog"})):
        run("alerts", "--owner", owner, "--history", "--json")
        found = json.loads(capsys.readouterr().out)
        for told in ("firing", "notifications"):
            assert {alert["labels"]["alertname"] for alert in found[told]} == expected
    run("alerts", "--owner", "risk")
    assert lines(capsys) == ["no alerts are firing"]


def test_the_doctor_names_receivers_of_an_owner_who_has_no_model(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CATWALK_STORE", (tmp_path / "ledger").as_uri())
    for model, owner in (("churn", "growth"), ("demand", "Café")):
        add(open_store(), WatchedRecord(model, owner=owner))
    files = tmp_path / "receivers"

    def said(*folders: str) -> str:
        for name in folders:
            (files / name).mkdir(parents=True)
            (files / name / "webhook_url").write_text("http://127.0.0.1:1/")
        pair.alertmanager.configure(receivers.read(files))
        pair.alertmanager.reload()
        return monitoring.owners()

    try:
        assert said() == "owners with receivers of their own: none; without: Café, growth"
        cafe = unicodedata.normalize("NFD", "Café")
        assert said(cafe) == "owners with receivers of their own: Café; without: growth"
        with pytest.raises(Unwell, match="no model has the owner grwth, risk") as found:
            said("grwth", "risk")
        assert found.value.remedy.endswith("the owners are Café, growth")
        assert found.value.verdict == "WARN"
    finally:
        pair.alertmanager.configure(receivers.read(tmp_path / "none"))
        pair.alertmanager.reload()


def test_an_alert_that_fires_again_has_two_episodes(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    """Posts as Prometheus does after a pause: resolved because it is late, then firing with the previous start."""
    labels = {"alertname": "StoreUnavailable", "severity": "critical", "area": "pipeline", "model": "again"}

    def statuses() -> list[str]:
        found = pair.courier.told()["notifications"]
        return [one["status"] for one in reversed(found) if one["labels"]["alertname"] == "StoreUnavailable"]

    def lasted() -> list[str]:
        run("alerts", "--history", "--limit", "100")
        history = capsys.readouterr().out.partition("began (UTC)")[2]
        return re.findall(r"StoreUnavailable +(fires|[\d.]+ s|\d+m \d\ds)", history)

    told: list[str] = []
    for seconds, status in ((600, "firing"), (-1, "resolved"), (600, "firing")):
        pair.alertmanager.post(labels, seconds=seconds)
        told.append(status)
        wait_until(lambda: statuses() == told, f"the notifications {told}")
    starts = {one["starts_at"] for one in pair.courier.told()["notifications"] if one["labels"] == {**labels, **LINKS}}
    assert len(starts) == 1, "Alertmanager has kept the start"
    again, first = lasted()
    assert again == "fires"
    assert first != "fires"
    pair.alertmanager.post(labels, seconds=-1)
    wait_until(lambda: statuses() == [*told, "resolved"], "the notification that it has resolved")
    again, second = lasted()
    assert again != "fires"
    assert second == first


def test_history_without_alertmanager(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CATWALK_ALERTMANAGER_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit, match="1"):
        main(["alerts", "--history"])
    captured = capsys.readouterr()
    assert re.search(r"critical +StatsdExporterDown +fires", captured.out)
    assert captured.err.count("\n") == 1
    assert "CATWALK_ALERTMANAGER_URL" in captured.err
    with pytest.raises(SystemExit, match="1"):
        main(["alerts", "--history", "--json"])
    assert json.loads(capsys.readouterr().out)["firing"] is None


def test_planned_work_starts_and_ends_for_both(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    def holding() -> list[dict[str, str]]:
        found = json.loads(access.fetch(f"{pair.alertmanager.url}/api/v2/silences", timeout=10))
        return [one for one in found if one["status"]["state"] == "active"]

    run("silence", "--minutes", "60", "--reason", "a new disk")
    assert re.match(r"silenced until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", capsys.readouterr().out)
    assert {alert.state for alert in active_alerts(pair.alertmanager.url)} == {"silenced"}
    assert pair.courier.state() == "planned"
    (first,) = holding()
    assert first["comment"].startswith("a new disk (")
    run("silence", "--minutes", "0.5", "--reason", "only a cable", "--json")
    assert json.loads(capsys.readouterr().out)["reason"] == "only a cable"
    (second,) = holding()
    assert second["endsAt"] < first["endsAt"], "the latest announcement counts"
    run("silence", "--end")
    assert capsys.readouterr().out == "notifications are on again\n"
    assert holding() == []
    assert {alert.state for alert in active_alerts(pair.alertmanager.url)} == {"active", "inhibited"}
    run("silence", "--end", "--json")
    assert json.loads(capsys.readouterr().out) == {"ended": 0}
    wait_until(lambda: pair.courier.state() == "well", "the Watchdog is heard again")


@pytest.mark.parametrize("variable", ["CATWALK_ALERTMANAGER_URL", "CATWALK_COURIER_URL"])
def test_planned_work_that_one_of_both_did_not_receive_is_not_announced(
    pair: Pair, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with pytest.raises(SystemExit, match="1"):
        main(["silence", "--minutes", "60", "--reason", "work"])
    assert variable in capsys.readouterr().err
    assert pair.courier.state() != "planned"
    assert {alert.state for alert in active_alerts(pair.alertmanager.url)} == {"active", "inhibited"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--reason", "work"], "--minutes is required"),
        (["--minutes", "0", "--reason", "work"], "--minutes is required"),
        (["--minutes", "nan", "--reason", "work"], "--minutes is required"),
        (["--minutes", "10081", "--reason", "work"], "at most 10080"),
        (["--minutes", "10"], "--reason is required"),
        (["--minutes", "10", "--end"], "--end takes neither"),
    ],
)
def test_planned_work_that_makes_no_sense(
    pair: Pair, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["silence", *arguments])
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert pair.courier.state() != "planned"


def test_a_planned_stop_silences_everything_until_it_is_over(pair: Pair) -> None:
    silence_all(pair.alertmanager.url, 60, "a test")
    states = {alert.state for alert in active_alerts(pair.alertmanager.url)}
    assert states == {"silenced"}
    assert end_planned_silences(pair.alertmanager.url) == 1
    assert end_planned_silences(pair.alertmanager.url) == 0
    states = {alert.state for alert in active_alerts(pair.alertmanager.url)}
    assert states == {"active", "inhibited"}


def test_the_page_shows_what_alertmanager_says(tmp_path: Path, pair: Pair) -> None:
    courier = CourierProcess(tmp_path, CATWALK_ALERTMANAGER_URL=pair.alertmanager.url)
    try:
        firing = courier.get("/").partition("Notification history")[0]
    finally:
        courier.stop()
    assert "critical · StatsdExporterDown" in firing
    assert "warning · inhibited · TelemetryIncomplete" in firing
    assert "Watchdog<" not in firing


def test_the_doctor_looks_at_the_courier() -> None:
    with pytest.raises(Unwell, match="has no callout for") as found:
        monitoring.courier()
    assert found.value.verdict == "WARN"
    assert "CATWALK_CALLOUT_COMMAND" in found.value.remedy


def test_the_doctor_says_that_work_is_planned() -> None:
    run("silence", "--minutes", "60", "--reason", "a new disk")
    with pytest.raises(Unwell, match="alerts send no notifications") as found:
        monitoring.courier()
    assert found.value.verdict == "WARN"
    run("silence", "--end")


def test_a_wrong_password_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for password in ("wrong", ""):
        monkeypatch.setenv("CATWALK_MONITORING_PASSWORD", password)
        with pytest.raises(SystemExit, match="1"):
            main(["alerts"])
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "refused the user catwalk; set CATWALK_MONITORING_PASSWORD" in error
    with pytest.raises(Unwell, match="401 Unauthorized") as found:
        monitoring.alertmanager()
    assert "CATWALK_MONITORING_PASSWORD" in found.value.remedy


@pytest.mark.parametrize("variable", ["CATWALK_ALERTMANAGER_URL", "CATWALK_COURIER_URL"])
def test_a_server_that_does_not_answer_is_one_line(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with pytest.raises(SystemExit, match="1"):
        main(["alerts", "--history"])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "does not answer" in error
    assert variable in error

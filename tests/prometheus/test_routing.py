"""Which receiver gets which alert: the rendered routes, tested with amtool."""

from __future__ import annotations

import itertools
import json
import subprocess
import unicodedata
from pathlib import Path

import pytest
import yaml

from catwalk.errors import ConfigError
from catwalk.notifications import receivers
from catwalk.notifications.receivers import AREAS, EVERYBODY, Channels, Email
from stack import notifications
from stack.settings import tool

COURIER_URL = "http://127.0.0.1:9181"
FILES = {
    "slack_url": "https://hooks.slack.test/services/SECRET\n",
    "teams_url": "https://teams.test/workflows/SECRET?sp=%2Ftriggers\n",
    "discord_url": "https://discord.test/api/webhooks/1/SECRET\n",
    "pagerduty_key": "SECRETSECRETSECRETSECRETSECRET12\n",
    "pagerduty_url": "https://events.eu.pagerduty.test/v2/enqueue\n",
    "opsgenie_key": "SECRET-7f3a\n",
    "opsgenie_url": "https://api.eu.opsgenie.test\n",
    "telegram_token": "110201543:SECRET\n",
    "telegram_chat": "-1001234567890\n",
    "webhook_url": "https://pager.test/SECRET\n",
    "email.yml": "to: ops@example.test\nfrom: c@example.test\nsmarthost: mail.example.test:587\nusername: c\n",
    "smtp_password": "SECRET\n",
}


def folder_with(folder: Path, *names: str) -> Path:
    """A folder of receivers with these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(FILES[name])
    return folder


def rendered(folder: Path) -> str:
    return notifications.render(
        (notifications.SOURCE / "alertmanager.yml").read_text(), receivers.read(folder), COURIER_URL
    )


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With every receiver switched on."""
    home = tmp_path_factory.mktemp("routing")
    found = receivers.read(folder_with(home / "receivers", *FILES))
    return notifications.write(home / "alertmanager", found, COURIER_URL)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=Watchdog severity=none", "courier"),
        ("alertname=Watchdog severity=critical area=telemetry", "courier"),
        ("alertname=ModelLossNotFinite severity=warning area=model run_id=a", "model"),
        ("alertname=ModelTrainingDiverged severity=warning area=model run_id=a", "model"),
        ("alertname=ModelOverfitting severity=warning area=model run_id=a", "model"),
        ("alertname=ModelPlateaued severity=info area=model run_id=a", "courier"),
        ("alertname=ModelAccuracyBelowFloor severity=critical area=model model=mlp", "model"),
        ("alertname=ModelShipBlockedRepeatedly severity=warning area=model model=mlp", "model"),
        ("alertname=ChampionMissing severity=critical area=model model=mlp", "model"),
        ("alertname=DatasetShifted severity=info area=model", "courier"),
        ("alertname=RetrainingOverdue severity=warning area=pipeline", "pipeline"),
        ("alertname=RetrainingOverdue severity=critical area=pipeline", "pipeline"),
        ("alertname=PipelineRunFailed severity=warning area=pipeline run_id=a", "pipeline"),
        ("alertname=PipelineTaskRetrying severity=info area=pipeline run_id=a stage=train", "courier"),
        ("alertname=AirflowSchedulerDown severity=critical area=pipeline component=scheduler", "pipeline"),
        ("alertname=StoreUnavailable severity=critical area=pipeline", "pipeline"),
        ("alertname=TelemetryIncomplete severity=warning area=telemetry run_id=a", "telemetry"),
        ("alertname=StatsdExporterDown severity=critical area=telemetry job=statsd_exporter", "telemetry"),
        ("alertname=CardinalityNearLimit severity=info area=telemetry", "courier"),
        ("alertname=SampleLimitExceeded severity=critical area=telemetry job=exporter", "telemetry"),
        ("alertname=AirflowMetricsMissing severity=warning area=pipeline component=scheduler", "pipeline"),
        ("alertname=DiskNearlyFull severity=critical area=telemetry volume=store", "telemetry"),
        ("alertname=TheirOwn severity=critical", EVERYBODY),
        ("alertname=TheirOwn severity=critical area=kitchen", EVERYBODY),
        ("alertname=TheirOwn severity=warning", EVERYBODY),
        ("alertname=TheirOwn", "courier"),
        ("alertname=TheirOwn severity=page area=model", "courier"),
    ],
)
def test_routes(configuration: Path, labels: str, receiver: str) -> None:
    expected = "courier" if receiver == "courier" else f"courier,{receiver}"  # which hears of everything
    command = [str(tool("amtool")), "config", "routes", "test", f"--config.file={configuration}"]
    done = subprocess.run(
        [*command, f"--verify.receivers={expected}", *labels.split()],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_expectation_would_be_noticed(configuration: Path) -> None:
    command = [str(tool("amtool")), "config", "routes", "test", f"--config.file={configuration}"]
    done = subprocess.run(
        [*command, f"--verify.receivers={EVERYBODY}", "alertname=Watchdog"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0


def test_every_combination_of_receivers_is_accepted_and_holds_no_secret(tmp_path: Path) -> None:
    switches = (
        ("slack_url",),
        ("teams_url", "discord_url"),
        ("pagerduty_key",),
        ("opsgenie_key", "opsgenie_url", "pagerduty_key", "pagerduty_url"),
        ("telegram_token", "telegram_chat"),
        ("webhook_url",),
        ("email.yml", "smtp_password"),
    )
    combinations = [chosen for count in (0, 1, 2, len(switches)) for chosen in itertools.combinations(switches, count)]
    for number, chosen in enumerate(combinations):
        names = [name for switch in chosen for name in switch]
        for area in ("", "model"):
            home = tmp_path / f"{number}{area}"
            folder_with(home / "receivers" / area, *names)
            found = receivers.read(home / "receivers")
            path = notifications.write(home / "alertmanager", found, COURIER_URL)
            done = subprocess.run(
                [str(tool("amtool")), "check-config", str(path)],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert "SECRET" not in path.read_text()


def test_what_people_get_comes_besides_the_courier(tmp_path: Path) -> None:
    configuration = yaml.safe_load(rendered(folder_with(tmp_path, *FILES)))
    by_name = {receiver["name"]: receiver for receiver in configuration["receivers"]}
    assert by_name["courier"].keys() == {"name", "webhook_configs"}
    assert by_name["courier"]["webhook_configs"] == [
        {
            "url": f"{COURIER_URL}/alertmanager",
            "http_config": {"basic_auth": {"username": "catwalk", "password_file": "monitoring_password"}},
        }
    ]
    for name in (EVERYBODY, *AREAS):
        ways = {kind.removesuffix("_configs"): way for kind, way in by_name[name].items() if kind != "name"}
        assert [*ways] == ["slack", "msteamsv2", "discord", "pagerduty", "opsgenie", "telegram", "email", "webhook"]
        assert [len(way) for way in ways.values()] == [1] * 8
        assert all(way["send_resolved"] for (way,) in ways.values())
        assert by_name[name]["slack_configs"][0]["api_url_file"] == str(tmp_path / "slack_url")
        assert by_name[name]["email_configs"][0]["auth_password_file"] == str(tmp_path / "smtp_password")


def test_a_folder_of_an_area_replaces_what_is_for_everyone(tmp_path: Path) -> None:
    folder_with(tmp_path, "slack_url", "webhook_url")
    folder_with(tmp_path / "model", "slack_url")
    found = receivers.read(tmp_path)
    assert found["model"] == Channels(tmp_path / "model" / "slack_url", tmp_path / "webhook_url")
    assert found["pipeline"] == found[EVERYBODY] == Channels(tmp_path / "slack_url", tmp_path / "webhook_url")


def test_mail_without_a_password(tmp_path: Path) -> None:
    (tmp_path / "email.yml").write_text("to: a@b\nfrom: c@d\nsmarthost: localhost:25\nrequire_tls: false\n")
    assert receivers.read(tmp_path)[EVERYBODY].email == Email(("a@b",), "c@d", "localhost:25", require_tls=False)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("slack_url", "", "slack_url must contain a URL"),
        ("webhook_url", "pager.test", "webhook_url must contain a URL"),
        ("slack_url", "https://hooks.slack.test/a\nhttps://hooks.slack.test/b\n", "and nothing else"),
        ("slack_url", "https://hooks.slack.test/a # of the team\n", "and nothing else"),
        ("slack_url", "https://hooks.slack.test/a,https://hooks.slack.test/b", "and nothing else"),
        ("slack_url", "# of the team\nhttps://hooks.slack.test/a", "and nothing else"),
        ("teams_url", "https://", "and nothing else"),
        ("teams_url", "https://:443/workflows", "and nothing else"),
        ("teams_url", "https://./workflows", "and nothing else"),
        ("teams_url", "https://teams..test/workflows", "and nothing else"),
        ("teams_url", "https://teams.test:99999/workflows", "and nothing else"),
        ("discord_url", "https://discord.test:port/", "and nothing else"),
        ("discord_url", '"https://discord.test/a"', "and nothing else"),
        ("discord_url", "https://discord.test/…", "and nothing else"),
        ("pagerduty_key", "\n", "must contain one word"),
        ("pagerduty_key", "SECRET # of the team", "must contain one word"),
        ("opsgenie_key", "SECRET\nOTHER", "must contain one word"),
        ("pagerduty_url", "https://events.eu.pagerduty.test/v2/enqueue", "without a key: put the key into"),
        ("telegram_token", "SECRET", "must contain the token of a bot"),
        ("telegram_token", "110201543:SECRET", "needs .*telegram_chat"),
        ("telegram_chat", "@team", "must contain the number of a chat"),
        ("telegram_chat", "1234", "needs .*telegram_token"),
        ("smtp_password", "SECRET", "needs .*email.yml"),
        (
            "slack_url.txt",
            "https://hooks.slack.test/a",
            "reaches no one: .*; rename or remove it. The names are discord",
        ),
        ("victorops_key", "SECRET", "reaches no one"),
        ("growth/slack_url", "", "slack_url must contain a URL"),
        ("growth/slack_url.txt", "https://hooks.slack.test/a", "reaches no one"),
        ("growth/quiet_hours.yml", "times: 22:00-07:00", "reaches no one"),
        ("growth/smtp_password", "SECRET", "needs .*email.yml"),
        ("growth/email.yml", "to: a@b\nfrom: c@d\nsmarthost: h:25\nusername: u", "put the password into"),
        ("model/quiet_hours.yml", "times: 22:00-07:00", "reaches no one"),
        ("model/slack_url.txt", "https://hooks.slack.test/a", "reaches no one"),
        ("model", "https://hooks.slack.test/a", "can't be read: Not a directory"),
        ("slack_url/url", "https://hooks.slack.test/a", "can't be read: Is a directory"),
        *(
            ("email.yml", f"to: {to}\nfrom: c@d\nsmarthost: h:25", "to must be one address such as")
            for to in (
                "ops.example.com",
                "[]",
                "[ops@example.com, ml.example.com]",
                "[ops@example.com, 7]",
                "",
                "ops@example.com ml@example.com",
                "ops@example.com; ml@example.com",
                "'[ops@example.com]'",
                "{ops@example.com: 1}",
                "ops@",
                "'<>'",
                "ops@example.com,",
                "ops..team@example.com",
                ".ops@example.com",
                "ops.@example.com",
                "ops@example..com",
                "öps@example.com",
                '"ops@exa\\nmple.com"',
            )
        ),
        ("email.yml", "to: a@b\nfrom: c@d, e@f\nsmarthost: h:25", "one address as from"),
        ("email.yml", "to: a@b\nfrom: catwalk\nsmarthost: h:25", "from must be one address"),
        ("email.yml", "to: a@b\nto: c@d\nfrom: c@d\nsmarthost: h:25", "key to twice; put several values into one list"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: h:0", "smarthost must be host:port"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: h:66000", "smarthost must be host:port"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: smtp://h:25", "smarthost must be host:port"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: 'h :25'", "smarthost must be host:port"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: h:25\nrequire_tls: 'false'", "true or false as require_tls"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: h:25\nusername: 7", "in quotes if it is a number"),
        ("email.yml", "- to: a@b", "one per line"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: 2026-13-45", "one per line"),
        ("email.yml", "to: a@b", "must have the keys to, from and smarthost"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: h:25\npassword: x", "must have the keys"),
        ("email.yml", "to: [", "one per line"),
        ("email.yml", "to: " + 2_000 * "[" + 2_000 * "]", "one per line"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: localhost", "smarthost must be host:port"),
        ("email.yml", "to: a@b\nfrom: c@d\nsmarthost: h:25\nusername: u", "put the password into"),
    ],
)
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=complaint) as refused:
        receivers.read(tmp_path)
    assert str(tmp_path / name.removesuffix("/url")) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "models",
            "/models would be an owner's folder, but its name is similar to that of the area model; rename it",
        ),
        (
            "Pipeline",
            "/Pipeline would be .* that of the area pipeline; rename it. The areas are model, pipeline, tel",
        ),
        (
            EVERYBODY,
            f"/{EVERYBODY} has the name of the receiver for everyone; for an owner of that name, call it %65verybody",
        ),
        ("courier", "/courier has the name of the courier; for an owner of that name, call it %63ourier"),
        ("gr\nowth", r"/'gr\\nowth' can't be an owner's name; escape odd characters as in a URL"),
        ("%ff", "/'%ff' can't be an owner's name"),
        ("%ed%a0%80", "/'%ed%a0%80' can't be an owner's name"),
    ],
)
def test_a_folder_that_can_be_no_owners_is_named(tmp_path: Path, name: str, complaint: str) -> None:
    folder_with(tmp_path, "email.yml", "smtp_password")
    folder_with(tmp_path / name, "slack_url")
    with pytest.raises(ConfigError, match=complaint) as refused:
        receivers.read(tmp_path)
    assert "\n" not in str(refused.value)


def test_an_owners_folder_that_reaches_no_one_is_named(tmp_path: Path) -> None:
    folder_with(tmp_path, "slack_url")
    folder_with(tmp_path / "growth")
    (tmp_path / "growth" / ".keep").write_text("")
    with pytest.raises(ConfigError, match="growth reaches no one: put a receiver's file into it, or remove it"):
        receivers.read(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"), [("a:b", "a%3Ab"), ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}")]
)
def test_two_folders_of_one_owner_are_named(tmp_path: Path, one: str, other: str) -> None:
    for name in (one, other):
        folder_with(tmp_path / name, "slack_url")
    with pytest.raises(ConfigError, match="belong to the same owner; merge them into one folder") as refused:
        receivers.read(tmp_path)
    assert str(tmp_path / one) in str(refused.value) and str(tmp_path / other) in str(refused.value)


OWNERS = {
    "growth": "growth",
    "Growth": "Growth",
    "équipe données": "équipe données",
    "team%2Fml": "team/ml",
    "成長チーム": "成長チーム",
    'a "b" \\c {x}': 'a "b" \\c {x}',
    "=~.*": "=~.*",
    "%6Dodel": "model",
    "%65verybody": EVERYBODY,
    "100%25, sure": "100%, sure",
    "a%0Ab": "a\nb",
    "n\u200co": "n\u200co",
}
"""Name of the folder → owner."""


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Common receivers, those of an area, and those of all owners."""
    home = tmp_path_factory.mktemp("owned")
    for name in ("", "model", *OWNERS):
        folder_with(home / "receivers" / name, "webhook_url")
    return notifications.write(home / "alertmanager", receivers.read(home / "receivers"), COURIER_URL)


def reached(configuration: Path, **labels: str) -> list[str]:
    """Whom an alert with these labels reaches besides the courier, which it must."""
    command = [str(tool("amtool")), "config", "routes", "test", f"--config.file={configuration}"]
    quoted = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
    done = subprocess.run([*command, *quoted], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fallback" not in done.stderr + done.stdout
    courier, *people = done.stdout.strip().split(",", 1)
    assert courier == "courier"
    return people


@pytest.mark.parametrize("area", ["model", "pipeline", "telemetry", "kitchen"])
@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_an_alert_reaches_the_owner_that_it_names_and_no_one_else(owned: Path, severity: str, area: str) -> None:
    for folder, owner in OWNERS.items():
        assert reached(owned, alertname="A", severity=severity, area=area, owner=owner) == [folder]
    assert reached(owned, alertname="A", severity="info", owner="growth") == []
    decomposed = unicodedata.normalize("NFD", "équipe données")
    assert reached(owned, alertname="A", severity=severity, area=area, owner=decomposed) == ["équipe données"]


@pytest.mark.parametrize(
    "owner", [None, "", "grow", "growth ", "GROWTH", "=", "team%2Fml", "<error expanding template>"]
)
def test_an_alert_of_an_unknown_owner_reaches_those_of_the_area(owned: Path, owner: str | None) -> None:
    for severity in ("critical", "warning"):
        for area, expected in (("model", "model"), ("pipeline", "pipeline"), ("kitchen", EVERYBODY)):
            named = {} if owner is None else {"owner": owner}
            assert reached(owned, alertname="A", severity=severity, area=area, **named) == [expected]


def test_warnings_of_owners_wait_in_the_quiet_hours_too(owned: Path) -> None:
    critical, warning = [
        route["routes"] for route in yaml.safe_load(owned.read_text())["route"]["routes"] if "routes" in route
    ]
    assert all("mute_time_intervals" not in route for route in critical)
    assert all(route["mute_time_intervals"] == ["quiet_hours"] for route in warning)


def test_what_an_owner_gets_is_the_owners_alone(tmp_path: Path) -> None:
    folder_with(tmp_path, "email.yml", "smtp_password", "slack_url")
    folder_with(tmp_path / "growth", "webhook_url")
    assert receivers.read(tmp_path)["growth"] == Channels(webhook_url_file=tmp_path / "growth" / "webhook_url")
    by_name = {one["name"]: one for one in yaml.safe_load(rendered(tmp_path))["receivers"]}
    assert by_name["growth"].keys() == {"name", "webhook_configs"}


def test_a_password_that_nothing_uses_is_named(tmp_path: Path) -> None:
    (tmp_path / "email.yml").write_text("to: a@b\nfrom: c@d\nsmarthost: h:25\n")
    (tmp_path / "smtp_password").write_text("SECRET")
    with pytest.raises(ConfigError, match=r"email.yml has no username, but smtp_password is beside it"):
        receivers.read(tmp_path)


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("[ops@example.com, ml@example.com]", ("ops@example.com", "ml@example.com")),
        ("ops@example.com, Machine Learning <ml@example.com>", ("ops@example.com", "ml@example.com")),
        ("\n  - 'Ops <ops@example.com>'\n  - root@localhost", ("ops@example.com", "root@localhost")),
    ],
)
def test_mail_to_several(tmp_path: Path, to: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "email.yml").write_text(f"to: {to}\nfrom: 'Catwalk <c@d>'\nsmarthost: '[::1]:25'\n")
    assert receivers.read(tmp_path)["model"].email == Email(expected, "c@d", "[::1]:25")
    by_name = {one["name"]: one for one in yaml.safe_load(rendered(tmp_path))["receivers"]}
    assert by_name[EVERYBODY]["email_configs"][0]["to"] == ", ".join(expected)


def test_what_is_hidden_and_what_is_padded_is_let_be(tmp_path: Path) -> None:
    """Kubernetes' mounts have ``..data``; an editor of Windows ends lines in its own way."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "slack_url").write_bytes(b" https://hooks.slack.test/a\r\n\r\n")
    assert receivers.read(tmp_path)[EVERYBODY] == Channels(tmp_path / "slack_url")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert receivers.read(receivers.folder({"CATWALK_HOME": str(tmp_path)}))[EVERYBODY] == Channels()
    (tmp_path / "file").write_text("")
    for given in (str(tmp_path / "typo"), str(tmp_path / "file"), "tests"):
        with pytest.raises(ConfigError, match="CATWALK_RECEIVERS must be the absolute path of an existing folder"):
            receivers.folder({"CATWALK_RECEIVERS": given})
    assert receivers.folder({"CATWALK_RECEIVERS": str(tmp_path)}) == tmp_path


@pytest.mark.parametrize("url", ["", "courier:9181", "http://courier:9181 #"])
def test_a_courier_that_is_nowhere(url: str) -> None:
    with pytest.raises(ConfigError, match="CATWALK_COURIER_URL must be a URL"):
        notifications.render((notifications.SOURCE / "alertmanager.yml").read_text(), {}, url)


def test_the_watchdog_comes_every_20_seconds(tmp_path: Path) -> None:
    """Alertmanager looks at a group once a group_interval and sends it again when repeat_interval has passed."""
    route = yaml.safe_load(rendered(tmp_path))["route"]["routes"][0]
    looked, repeated = (int(route[name].removesuffix("s")) for name in ("group_interval", "repeat_interval"))
    assert "Watchdog" in route["matchers"][0]
    assert next(time for time in range(looked, 100, looked) if time > repeated) == 20


def test_other_intervals_scale_what_groups_wait(tmp_path: Path) -> None:
    text = notifications.render(
        (notifications.SOURCE / "alertmanager.yml").read_text(), receivers.read(tmp_path), COURIER_URL, 1
    )
    route = yaml.safe_load(text)["route"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("1000ms", "3000ms", "12h")
    watchdog = route["routes"][0]
    assert (watchdog["group_interval"], watchdog["repeat_interval"]) == ("1000ms", "1500ms")


def test_the_command_writes_what_alertmanager_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path))
    monkeypatch.setenv("CATWALK_COURIER_URL", "http://courier:9181")
    assert notifications.main([str(tmp_path / "out")]) == 0
    assert "http://courier:9181/alertmanager" in (tmp_path / "out" / "alertmanager.yml").read_text()
    assert (tmp_path / "out" / "catwalk.tmpl").exists()
    (tmp_path / "receivers").mkdir()
    (tmp_path / "receivers" / "slack_url").write_text("")
    assert notifications.main([str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 1

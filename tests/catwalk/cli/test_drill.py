"""``catwalk alerts --test`` with a real Alertmanager and courier, SMTP and HTTP on loopback; one receiver of each
kind fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from catwalk.cli import drill
from catwalk.cli.main import main
from catwalk.clients.alertmanager import Tries, silence_all
from catwalk.notifications import receivers
from tests.support.notifying import Alertmanager, CourierProcess, Listener, Mailbox
from tests.support.servers import MONITORING_PASSWORD, wait_until

pytestmark = pytest.mark.integration


class People:
    """Everything that a stack can notify: a web service with set answers, and a mailbox that refuses some addresses."""

    def __init__(self, home: Path) -> None:
        self.broken: set[str] = set()
        """Paths that answer 404."""
        self.service = Listener(self._answer)
        self.mailbox = Mailbox()
        self.home = home
        (home / "receivers" / "model").mkdir(parents=True)
        (home / "logs").mkdir()

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path in self.broken:
            return 404, {"error": "no_service"}
        return 202 if "alerts" in path else 200, {"ok": True, "result": {"message_id": 1, "chat": {"id": 7}}}

    def write(self, **files: str) -> None:
        """Files of receivers; the keys have ``__`` for a slash, and ``_yml`` for the suffix."""
        for name, text in files.items():
            path = self.home / "receivers" / name.replace("__", "/").replace("_yml", ".yml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def start(self) -> None:
        self.courier = CourierProcess(self.home, CATWALK_CALLOUT_COMMAND=f"cat >> {self.home}/called")
        folder = self.home / "alertmanager"
        folder.mkdir()
        found = receivers.read(self.home / "receivers")
        self.alertmanager = Alertmanager(folder, found, self.courier.url, services_url=self.service.url)
        (self.home / "logs" / "alertmanager.log").symlink_to(folder / "alertmanager.log")

    def stop(self) -> None:
        self.alertmanager.stop()
        self.courier.kill()
        self.service.stop()
        self.mailbox.stop()


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., People]]:
    made: list[People] = []

    def make(**files: str) -> People:
        people = People(tmp_path)
        people.write(
            **{name: text.format(url=people.service.url, smtp=people.mailbox.port) for name, text in files.items()}
        )
        people.start()
        made.append(people)
        monkeypatch.setenv("CATWALK_HOME", str(tmp_path))
        monkeypatch.setenv("CATWALK_ALERTMANAGER_URL", people.alertmanager.url)
        monkeypatch.setenv("CATWALK_COURIER_URL", people.courier.url)
        monkeypatch.setenv("CATWALK_MONITORING_PASSWORD", MONITORING_PASSWORD)
        return people

    yield make
    for one in made:
        one.stop()


MAIL = "to: ops@example.test\nfrom: c@example.test\nsmarthost: 127.0.0.1:{smtp}\nrequire_tls: false\n"


def drilled(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[tuple[str, str], tuple[bool, str]]]:
    """Returns the exit code, and way → whether it was delivered and the answer."""
    with pytest.raises(SystemExit) as ended:
        main(["alerts", "--test", "--json", *arguments])
    outcomes = json.loads(capsys.readouterr().out)
    found = {(one["receiver"], one["way"]): (one["delivered"], one["said"]) for one in outcomes}
    assert isinstance(ended.value.code, int)
    return ended.value.code, found


def test_every_way_delivers_both_the_start_and_the_end(
    people: Callable[..., People], capsys: pytest.CaptureFixture[str]
) -> None:
    site = people(
        slack_url="{url}/slack",
        teams_url="{url}/teams",
        discord_url="{url}/discord",
        webhook_url="{url}/hook",
        pagerduty_key="R0UT1NG",
        pagerduty_url="{url}/pagerduty",
        opsgenie_key="GEN1E",
        opsgenie_url="{url}/opsgenie",
        email_yml=MAIL.replace("ops@example.test", "[ops@example.test, ml@example.test]"),
        model__slack_url="{url}/model",
    )
    code, found = drilled(capsys)
    ways = {"slack", "msteamsv2", "discord", "pagerduty", "opsgenie", "email", "webhook"}
    called = {"command", "discord", "email", "opsgenie", "pagerduty", "slack", "teams", "webhook"}
    assert found == {
        **{(name, way): (True, "delivered") for name in ("everybody", "model") for way in ways},
        **{(name, "courier"): (True, "kept") for name in ("everybody", "model")},
        **{("callout", way): (True, "delivered") for way in called},
    }
    assert code == 0
    bodies = site.service.bodies
    assert f"Test of the notifications of {receivers.EVERYBODY}" in bodies("/slack")[0]["attachments"][0]["title"]
    assert "Test of the notifications of model" in bodies("/model")[0]["attachments"][0]["title"]
    texts = [body["text"] for body in bodies("/slack") if "text" in body]  # the ends of alerts may come behind it
    assert [text.startswith("*TEST: Catwalk's callout works*") for text in texts] == [True]
    assert "TEST: Catwalk's callout works" in (site.home / "called").read_text()
    recipients = {recipient for mail in site.mailbox.recipients for recipient in mail}
    assert recipients == {"ops@example.test", "ml@example.test"}
    assert [one["event_action"] for one in bodies("/pagerduty") if one["routing_key"] == "R0UT1NG"][:1] == ["trigger"]
    assert bodies("/pagerduty")[0]["payload"]["severity"] == "critical"
    assert bodies("/opsgenie/v2/alerts")[0]["priority"] == "P1"
    genie = [headers["Authorization"] for _, path, _, headers in site.service.received if "opsgenie" in path]
    assert set(genie) == {"GenieKey GEN1E"}

    def opened_and_closed() -> tuple[int, int]:
        """Returns the incidents that PagerDuty opened, and those that it closed."""
        actions: dict[str, set[str]] = {"trigger": set(), "resolve": set()}
        for body in bodies("/pagerduty"):
            actions[body["event_action"]].add(body["dedup_key"])
        assert actions["resolve"] <= actions["trigger"]
        return len(actions["trigger"]), len(actions["resolve"])

    wait_until(lambda: opened_and_closed() == (3, 3), "two receivers and the callout to be closed")
    kept = [one for one in site.courier.told()["notifications"] if one["labels"]["alertname"] == drill.ALERT]
    assert {one["status"] for one in kept} == {"firing", "resolved"}


def test_an_owners_ways_or_one_of_them(people: Callable[..., People], capsys: pytest.CaptureFixture[str]) -> None:
    """The second owner's name has special characters, in labels and in Alertmanager's log."""
    odd = 'équipe "ML"%2F ✓'
    site = people(
        slack_url="{url}/slack",
        growth__slack_url="{url}/growth",
        growth__webhook_url="{url}/hook",
        **{f"{odd}__webhook_url": "{url}/odd", f"{odd}__slack_url": "{url}/odd-slack"},
    )
    site.broken |= {"/odd"}
    assert drilled(capsys, "growth/slack") == (
        0, {("growth", "courier"): (True, "kept"), ("growth", "slack"): (True, "delivered")}
    )  # fmt: skip
    code, found = drilled(capsys, odd)
    assert (code, found[odd, "slack"]) == (1, (True, "delivered"))
    assert "404" in found[odd, "webhook"][1]
    assert ("callout", "slack") not in found
    assert not site.service.bodies("/slack"), "only the receivers of the owner are tested"
    owners = {one["labels"].get("owner") for body in site.service.bodies("/odd") for one in body["alerts"]}
    assert owners == {'équipe "ML"/ ✓'}
    code, found = drilled(capsys)
    assert {name for name, _ in found} == {"everybody", "growth", odd, "callout"}
    for asked, complaint in (
        ("growth/email", "growth has no integration 'email'; its integrations are slack, webhook"),
        (
            "grwth/slack",
            f"there is no receiver 'grwth'; "
            f"the receivers are {receivers.EVERYBODY}, model, pipeline, telemetry, growth, {odd}",
        ),
        ("/slack", "there is no receiver '/slack'"),
    ):
        with pytest.raises(SystemExit, match="1"):
            main(["alerts", "--test", asked])
        assert complaint in capsys.readouterr().err


def test_a_failure_shows_the_answer(people: Callable[..., People], capsys: pytest.CaptureFixture[str]) -> None:
    site = people(
        slack_url="{url}/slack",
        teams_url="http://127.0.0.1:1/teams",
        discord_url="{url}/discord",
        webhook_url="{url}/hook",
        opsgenie_key="GEN1E",
        opsgenie_url="{url}/opsgenie",
        pagerduty_key="R0UT1NG",
        pagerduty_url="{url}/pagerduty",
        email_yml=MAIL.replace("ops@example.test", "absent@example.test, ops@example.test"),
    )
    site.broken |= {"/slack", "/hook", "/opsgenie/v2/alerts", "/pagerduty"}
    site.mailbox.refused |= {"absent@example.test"}
    code, found = drilled(capsys, "everybody")
    failed = {way: said for way, (delivered, said) in found.items() if not delivered}
    assert code == 1
    assert failed.keys() == {
        *(("everybody", way) for way in ("slack", "msteamsv2", "webhook", "opsgenie", "pagerduty", "email")),
        *(("callout", way) for way in ("slack", "teams", "webhook", "opsgenie", "pagerduty", "email")),
    }
    assert "404" in failed["everybody", "slack"]
    assert "no_service" in failed["everybody", "slack"]
    assert "refused" in failed["everybody", "msteamsv2"]
    assert "550" in failed["everybody", "email"]
    assert "no_service" in failed["everybody", "opsgenie"]
    assert failed["callout", "slack"] == '404 Not Found: {"error": "no_service"}'
    assert failed["callout", "email"] == "the server refuses absent@example.test: 550 no such user here"
    with pytest.raises(SystemExit, match="1"):
        main(["alerts", "--test", "pipeline"])
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("pipeline: discord") and line.endswith("  delivered") for line in printed)
    assert any(line.startswith("callout:") and "slack" in line and "failed: 404 Not Found" in line for line in printed)
    (site.home / "logs" / "alertmanager.log").unlink()
    assert drilled(capsys, "everybody")[1]["everybody", "slack"] == (
        False,
        "Alertmanager could not deliver it; see its log",
    )


def test_a_try_that_is_counted_before_its_failure_is_not_a_delivery(
    people: Callable[..., People], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alertmanager first counts its try, then its failure; a reading may fall between the two."""
    site, way = people(webhook_url="{url}/hook"), ("everybody", "webhook")
    counted = [Tries(2, 0), Tries(3, 0), Tries(3, 1), Tries(4, 1), Tries(4, 1)]
    monkeypatch.setattr(drill.alertmanager, "sent", lambda url: {way: counted.pop(0) if counted[1:] else counted[0]})
    outcomes = drill._Trial(site.alertmanager.url, site.courier.url, "everybody", ["webhook"]).outcomes(60)
    assert [outcome.said for outcome in outcomes if outcome.way == "webhook"] == ["delivered at the second attempt"]


def test_telegram(people: Callable[..., People], capsys: pytest.CaptureFixture[str]) -> None:
    """Covers only Alertmanager's half: the callout goes to Telegram itself."""
    site = people(telegram_token="110201543:S3CRET", telegram_chat="-1001234567890")
    outcomes = drill._Trial(site.alertmanager.url, site.courier.url, "everybody", ["telegram"]).outcomes(60)
    assert {outcome.way: outcome.delivered for outcome in outcomes} == {"courier": True, "telegram": True}
    (message,) = site.service.bodies("/bot110201543:S3CRET/sendMessage")[:1]
    site.broken.add("/bot110201543:S3CRET/sendMessage")
    outcomes = drill._Trial(site.alertmanager.url, site.courier.url, "everybody", ["telegram"]).outcomes(60)
    failed = {outcome.way: outcome.said for outcome in outcomes if not outcome.delivered}
    assert failed.keys() == {"telegram"}
    assert "S3CRET" not in failed["telegram"]
    assert message["chat_id"] == "-1001234567890"
    assert f"Test of the notifications of {receivers.EVERYBODY}" in message["text"]


def test_a_silenced_test_is_reported(people: Callable[..., People], capsys: pytest.CaptureFixture[str]) -> None:
    site = people(slack_url="{url}/slack")
    silence_all(site.alertmanager.url, 600, "work")
    code, found = drilled(capsys, "everybody")
    assert code == 1
    assert found["everybody", "slack"] == (False, drill._LOUD)
    assert found["callout", "slack"] == (True, "delivered")


def test_it_fails_if_no_one_is_notified(
    people: Callable[..., People], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = people()
    for arguments, complaint in (
        (
            ["models"],
            f"there is no receiver 'models'; the receivers are {receivers.EVERYBODY}, model, pipeline, telemetry",
        ),
        (["--history"], "--test takes only RECEIVER"),
    ):
        with pytest.raises(SystemExit, match="1"):
            main(["alerts", "--test", *arguments])
        assert complaint in capsys.readouterr().err
    site.courier.kill()
    site.courier.start(CATWALK_CALLOUT_COMMAND="  ")
    with pytest.raises(SystemExit, match="1"):
        main(["alerts", "--test"])
    assert "no notifications are sent, because no receiver is configured" in capsys.readouterr().err

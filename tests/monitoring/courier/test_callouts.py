"""The dead-man watch in a running courier: what it calls, when, and that a kill changes nothing."""

from __future__ import annotations

import email
import email.policy
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catwalk.notifications import receivers
from catwalk_courier.deadman import Watch
from catwalk_courier.delivery import callout, services
from catwalk_courier.delivery.channel import RefusedError
from stack.settings import PROJECT
from tests.support.notifying import CourierProcess, Listener, Mailbox, eventually
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

QUICK = {"CATWALK_DEADMAN_SECONDS": "1.5", "CATWALK_DEADMAN_GRACE_SECONDS": "1.5"}


END = "end of call\n"


def commanded(home: Path) -> str:
    """A command that appends its input to a file, and then a line that marks the end."""
    return f'{{ echo "$CATWALK_CALLOUT_EVENT"; cat; printf "{END.strip()}\\n"; }} >> {home}/called'


def told(home: Path) -> list[tuple[str, str]]:
    """Event and text of each finished call of the command."""
    path = home / "called"
    ended = (path.read_text() if path.exists() else "").split(END)[:-1]
    return [(event, text) for event, _, text in (call.partition("\n") for call in ended)]


def calls(home: Path) -> list[str]:
    """The events that the command was called with."""
    return [event for event, _ in told(home)]


def delivered(courier: CourierProcess) -> bool:
    """Returns whether nothing waits for delivery. A kill between a delivery and its record makes it arrive twice."""
    return 'catwalk_courier_pending_deliveries{channel="command"} 0.0' in courier.get("/metrics")


def test_never_heard_then_recovered_then_silent_over_a_kill_and_a_restart(tmp_path: Path) -> None:
    courier = CourierProcess(tmp_path, CATWALK_CALLOUT_COMMAND=commanded(tmp_path), **QUICK)
    try:
        wait_until(lambda: calls(tmp_path) == ["silent"], "called out: never heard")
        assert "never heard" in told(tmp_path)[0][1]
        wait_until(lambda: delivered(courier), "the record of the callout")
        courier.kill()
        courier.start()  # remembers that this silence was called out
        assert courier.state() == "silent"
        courier.hear()
        # This may call out silence once more before it looks.
        wait_until(lambda: calls(tmp_path)[:2] == ["silent", "recovered"], "called out: heard again")
        wait_until(lambda: calls(tmp_path) == ["silent", "recovered", "silent"], "called out: silent")
        wait_until(lambda: delivered(courier), "the record of the callout")
        courier.kill()
        courier.start()
        before = courier.told()["deadman"]["silence_seconds"]
        wait_until(lambda: courier.told()["deadman"]["silence_seconds"] > before + 2, "listens on")
        assert calls(tmp_path) == ["silent", "recovered", "silent"]
    finally:
        courier.kill()


def test_a_restart_neither_resets_the_clock_nor_counts_the_time_when_it_was_down(tmp_path: Path) -> None:
    limits = {"CATWALK_DEADMAN_SECONDS": "600", "CATWALK_DEADMAN_GRACE_SECONDS": "600"}
    courier = CourierProcess(tmp_path, **limits)
    courier.hear()
    wait_until(lambda: courier.told()["deadman"]["silence_seconds"] >= 2, "some silence")
    asked = time.monotonic()
    before = courier.told()["deadman"]["silence_seconds"]
    courier.stop()
    listened = time.monotonic() - asked
    time.sleep(5)
    started = time.monotonic()
    courier.start()
    after = courier.told()["deadman"]
    listened += time.monotonic() - started
    courier.kill()
    assert before <= after["silence_seconds"] <= before + listened, "without the seconds in which it was down"
    assert after["state"] == "well"


def test_a_planned_stop_makes_no_callout(tmp_path: Path) -> None:
    courier = CourierProcess(tmp_path, CATWALK_CALLOUT_COMMAND=commanded(tmp_path), **QUICK)
    try:
        courier.hear()
        assert courier.post({"seconds": 3600}, "/planned-stop")[0] == 200
        assert courier.state() == "planned"
        courier.kill()
        courier.start()
        time.sleep(2.5)  # longer than the silence that is normally called out
        assert courier.state() == "planned"
        assert calls(tmp_path) == []
        assert courier.post({"seconds": 1}, "/planned-stop")[0] == 200
        wait_until(lambda: calls(tmp_path) == ["silent"], "called out when the plan is over")
        assert courier.post({"seconds": 3600}, "/planned-stop")[0] == 200
        assert courier.post({"seconds": 0}, "/planned-stop")[0] == 200
        assert courier.state() != "planned"
        wait_until(lambda: calls(tmp_path) == ["silent"] * 2, "a new grace period begins, and ends")
    finally:
        courier.kill()


def test_chats_and_pagers_get_their_own_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This runs in the test's process, because a running courier would call Telegram itself."""
    people = Listener(lambda *request: (200, {"ok": True}))
    monkeypatch.setattr(services, "TELEGRAM_URL", people.url)
    for name, text in {
        "teams_url": f"{people.url}/teams",
        "discord_url": f"{people.url}/discord",
        "telegram_token": "110201543:S3CRET",
        "telegram_chat": "-1001234567890",
        "pagerduty_key": "R0UT1NG",
        "pagerduty_url": f"{people.url}/pagerduty",
        "opsgenie_key": "GEN1E",
        "opsgenie_url": f"{people.url}/genie/",
    }.items():
        (tmp_path / name).write_text(f"{text}\n")
    ways = callout.ways(receivers.read(tmp_path)["everybody"], {})
    assert [*ways] == ["discord", "opsgenie", "pagerduty", "teams", "telegram"]
    url = "http://127.0.0.1:9181"
    try:
        for content in (callout.message("silent", Watch(60.0), url), callout.message("recovered", Watch(), url)):
            for deliver in ways.values():
                deliver(content)
    finally:
        people.stop()
    triggered, resolved = people.bodies("/pagerduty")
    assert [one["event_action"] for one in (triggered, resolved)] == ["trigger", "resolve"]
    assert triggered["routing_key"] == resolved["routing_key"] == "R0UT1NG"
    assert triggered["dedup_key"] == resolved["dedup_key"]
    assert triggered["payload"]["summary"] == "CRITICAL: Catwalk's alert chain was never heard"
    (opened,) = people.bodies("/genie/v2/alerts")
    (closed,) = people.bodies(f"/genie/v2/alerts/{opened['alias']}/close?identifierType=alias")
    assert (opened["priority"], closed["source"]) == ("P1", "Catwalk")
    first, _ = people.bodies("/bot110201543:S3CRET/sendMessage")
    assert (first["chat_id"], "make status" in first["text"]) == (-1001234567890, True)
    card = people.bodies("/teams")[0]["attachments"][0]["content"]
    assert card["body"][0]["text"] == "CRITICAL: Catwalk's alert chain was never heard"
    assert "make status" in people.bodies("/discord")[0]["content"]


@pytest.mark.parametrize(
    ("deployment", "look"),
    [("", "`make status` and "), ("compose", "`docker compose ps` and "), ("kubernetes", "")],
)
@pytest.mark.parametrize("heard", [None, 1.7e9])
def test_a_callout_names_the_tools_to_investigate_with(
    monkeypatch: pytest.MonkeyPatch, deployment: str, look: str, heard: float | None
) -> None:
    monkeypatch.setenv("CATWALK_DEPLOYMENT", deployment)
    told = callout.message("silent", Watch(silence=90, heard=heard), "http://127.0.0.1:9181")
    assert f" Check with {look}`catwalk doctor`.\n" in told["text"]


def test_a_blank_command_makes_no_callout() -> None:
    assert callout.ways(receivers.Channels(), {"CATWALK_CALLOUT_COMMAND": " \n"}) == {}


def test_a_mail_that_reaches_some_is_given_up_and_one_that_reaches_no_one_is_retried(tmp_path: Path) -> None:
    mailbox = Mailbox()
    email = receivers.Email(
        ("ops@example.test", "ml@example.test"), "c@example.test", f"127.0.0.1:{mailbox.port}", "", False
    )
    deliver = callout.ways(receivers.Channels(email=email), {})["email"]
    content = callout.test_message("http://127.0.0.1:9181")
    try:
        mailbox.refused = {"ml@example.test"}
        with pytest.raises(RefusedError, match=r"refuses ml@example\.test: 550 no such user here"):
            deliver(content)
        assert mailbox.recipients == [["ops@example.test"]]
        mailbox.refused = {"ml@example.test", "ops@example.test"}
        with pytest.raises(OSError, match="no such user here"):
            deliver(content)
        mailbox.refused = set()
        deliver(content)
        assert mailbox.recipients[1:] == [["ops@example.test", "ml@example.test"]]
    finally:
        mailbox.stop()


def test_a_heartbeat_to_no_url_is_refused(tmp_path: Path) -> None:
    environment = {"CATWALK_HEARTBEAT_URL": "hc-ping.com/uuid", "CATWALK_MONITORING_PASSWORD": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "catwalk_courier", "--port", "0"],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "CATWALK_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("catwalk courier: CATWALK_HEARTBEAT_URL must contain a URL")
    assert done.stderr.count("\n") == 1


def test_mail_slack_and_webhook_are_retried_until_they_succeed(tmp_path: Path) -> None:
    fails = {"/services/T0": 2, "/hook": 1}

    def answer(method: str, path: str, body: object) -> tuple[int, object]:
        fails[path] -= 1
        return (503, {}) if fails[path] >= 0 else (200, {})

    people, mailbox = Listener(answer), Mailbox()
    files = tmp_path / "receivers"
    files.mkdir()
    (files / "slack_url").write_text(f"{people.url}/services/T0\n")
    (files / "webhook_url").write_text(f"{people.url}/hook")
    (files / "email.yml").write_text(
        f"to: ops@example.test\nfrom: c@example.test\nsmarthost: 127.0.0.1:{mailbox.port}\nrequire_tls: false\n"
    )
    courier = CourierProcess(tmp_path, CATWALK_CALLOUT_COMMAND="exit 3", **QUICK)
    try:
        wait_until(lambda: mailbox.mails, "a mail")
        mail = email.message_from_bytes(mailbox.mails[0], policy=email.policy.default)
        assert mail["Subject"] == "CRITICAL: Catwalk's alert chain was never heard"
        assert "make status" in str(mail.get_payload())
        wait_until(lambda: len(people.bodies("/services/T0")) == 3, "Slack, at the third try")
        wait_until(lambda: len(people.bodies("/hook")) == 2, "the webhook, at the second try")
        assert "*CRITICAL: Catwalk's alert chain was never heard*" in people.bodies("/services/T0")[-1]["text"]
        alert = people.bodies("/hook")[-1]["alerts"][0]
        assert people.bodies("/hook")[-1]["version"] == "4"
        assert (alert["status"], alert["labels"]["severity"]) == ("firing", "critical")
        assert alert["annotations"]["runbook_url"] == f"{courier.url}/runbooks/Watchdog"
        counted = {
            'catwalk_courier_deliveries_total{channel="slack",outcome="failed"} 2.0',
            'catwalk_courier_deliveries_total{channel="slack",outcome="delivered"} 1.0',
            'catwalk_courier_pending_deliveries{channel="command"} 1.0',
            *(f'catwalk_courier_pending_deliveries{{channel="{name}"}} 0.0' for name in ("slack", "webhook", "email")),
        }
        # The courier records a delivery after the receiver has it.
        wait_until(lambda: counted <= set(courier.get("/metrics").splitlines()), "everything is recorded")
        wait_until(lambda: re.search("command failed.*exited with 3", courier.log.read_text()), "the command's end")
        assert len(mailbox.mails) == 1
    finally:
        courier.kill()
        people.stop()
        mailbox.stop()


def test_a_heartbeat_goes_out_only_while_the_watchdog_is_heard(tmp_path: Path) -> None:
    outside = Listener()
    courier = CourierProcess(
        tmp_path, CATWALK_HEARTBEAT_URL=f"{outside.url}/ping/uuid", CATWALK_HEARTBEAT_SECONDS="0.2", **QUICK
    )
    try:
        eventually(courier, "silent")
        assert outside.received == []

        def heartbeats(number: int) -> bool:
            courier.hear()
            return len(outside.received) >= number

        wait_until(lambda: heartbeats(3), "heartbeats while the Watchdog keeps arriving")
        assert {(method, path) for method, path, _, _ in outside.received} == {("GET", "/ping/uuid")}
        eventually(courier, "silent")
        count = len(outside.received)
        silence = courier.told()["deadman"]["silence_seconds"]
        wait_until(lambda: courier.told()["deadman"]["silence_seconds"] > silence + 1, "the silence continues")
        assert len(outside.received) <= count + 1, "one may have been on its way"
        delivered = re.search(r'channel="heartbeat",outcome="delivered"} (\d+)', courier.get("/metrics"))
        assert delivered is not None
        assert int(delivered[1]) >= 3
    finally:
        courier.kill()
        outside.stop()

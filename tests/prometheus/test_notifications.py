"""What a live Alertmanager with the rendered configuration holds back, and what reaches people."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest
import yaml

from catwalk.notifications import receivers
from stack.notifications import SOURCE
from tests.prometheus.rulebook import alerts
from tests.support.notifying import OTHER_RUN, RUN, Alertmanager, Listener, Mailbox, key
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

Labels = dict[str, str]


class People:
    """Every receiver: the courier, Slack, a webhook, a mailbox."""

    def __init__(self, folder: Path) -> None:
        self.courier, self.webhook, self.mailbox = Listener(), Listener(), Mailbox()
        self.slack = Listener(lambda *request: (200, {"ok": True}))
        files = folder / "receivers"
        files.mkdir()
        (files / "slack_url").write_text(f"{self.slack.url}/services/T0\n")
        (files / "webhook_url").write_text(f"{self.webhook.url}/hook\n")
        (files / "email.yml").write_text(
            f"to: ops@example.test\nfrom: catwalk@example.test\nsmarthost: 127.0.0.1:{self.mailbox.port}\n"
            "require_tls: false\n"
        )
        self.alertmanager = Alertmanager(folder, receivers.read(files), self.courier.url)

    def mails(self) -> list[EmailMessage]:
        found = [email.message_from_bytes(text, policy=email.policy.default) for text in self.mailbox.mails]
        return cast("list[EmailMessage]", found)

    def stop(self) -> None:
        self.alertmanager.stop()
        for listener in (self.courier, self.slack, self.webhook, self.mailbox):
            listener.stop()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    people = People(tmp_path_factory.mktemp("people"))
    yield people
    people.stop()


def alert(name: str, severity: str = "warning", **labels: str) -> Labels:
    return {"alertname": name, "severity": severity, **labels}


MODEL = {"model": "mlp", "run_id": RUN}
OTHER = {"model": "mlp", "run_id": OTHER_RUN}


@pytest.mark.parametrize(
    ("source", "suppressed", "told"),
    [
        pytest.param(
            alert("RetrainingOverdue", "critical", model="mlp"),
            alert("RetrainingOverdue", "warning", model="mlp"),
            alert("RetrainingOverdue", "warning", model="cnn"),
            id="critical over warning",
        ),
        pytest.param(
            alert("DiskNearlyFull", "critical", volume="store"),
            alert("DiskNearlyFull", "warning", volume="store"),
            alert("DiskNearlyFull", "warning", volume="prometheus"),
            id="critical over warning, of one volume",
        ),
        pytest.param(
            alert("TheirOwn", "critical", pod="a"),
            None,
            alert("TheirOwn", "warning", pod="b"),
            id="alerts of others are none of our business",
        ),
        pytest.param(
            alert("ModelClassCollapsed", "critical", **MODEL, **{"class": "shirt"}),
            alert("ModelClassCollapsed", "warning", **MODEL, **{"class": "shirt"}),
            alert("ModelClassCollapsed", "warning", **OTHER, **{"class": "shirt"}),
            id="critical over warning, of one run and class",
        ),
        *(
            pytest.param(
                alert(name, "critical", job="statsd_exporter"),
                alert("TelemetryIncomplete", "warning", **MODEL),
                alert("RetrainingOverdue", "critical", schedule="0 3 * * *"),
                id=f"{name}: no points, and nothing else",
            )
            for name in ("StatsdExporterDown", "SampleLimitExceeded")
        ),
        pytest.param(
            alert("StatsdExporterDown", "critical", job="statsd_exporter"),
            None,
            alert("RetrainingOverdue", "critical", rests_on="missing_series"),
            id="what rests on the exporter needs no statsd_exporter",
        ),
        pytest.param(
            alert("SampleLimitExceeded", "critical", job="exporter"),
            alert("CardinalityNearLimit", "warning", job="exporter"),
            alert("CardinalityNearLimit", "warning", job="statsd_exporter"),
            id="beyond the limit is no longer near it",
        ),
        pytest.param(
            alert("SampleLimitExceeded", "critical", job="exporter"),
            None,
            alert("TelemetryIncomplete", "warning", **MODEL),
            id="points don't come by the exporter",
        ),
        *(
            pytest.param(
                alert(name, "critical", job="exporter"),
                None,
                alert(other, "critical", **labels),
                id=f"{name} hides no {other}",
            )
            for name in ("TargetDown", "CatwalkServiceDown")
            for other, labels in (("RetrainingOverdue", {"model": "mlp"}), ("TelemetryIncomplete", MODEL))
        ),
        pytest.param(
            alert("TelemetryIncomplete", "warning", **MODEL),
            None,
            alert("PipelineRunStuck", "warning", **MODEL),
            id="a run with gaps may hang all the same",
        ),
        pytest.param(
            alert("ModelShipBlockedRepeatedly", "warning", **MODEL),
            None,
            alert("ModelAccuracyBelowFloor", "critical", **MODEL),
            id="a warning hides nothing that is in service",
        ),
        *(
            pytest.param(
                alert("ModelShipBlockedRepeatedly", "warning", **MODEL),
                alert(cause, "warning", **MODEL),
                alert(cause, "warning", **OTHER),
                id=f"the gate over {cause}",
            )
            for cause in (
                "ModelAccuracyBelowFloor",
                "ModelFloorMissed",
                "ModelClassCollapsed",
                "ModelRegressedAgainstChampion",
                "ModelCalibrationPoor",
            )
        ),
        pytest.param(
            alert("ModelShipBlockedRepeatedly", "warning", **MODEL),
            None,
            alert("ModelTrainingDiverged", "warning", **MODEL),
            id="the gate over its causes only",
        ),
    ],
)
def test_inhibition(people: People, source: Labels, suppressed: Labels | None, told: Labels) -> None:
    every = [labels for labels in (source, suppressed, told) if labels]
    server = people.alertmanager
    server.post(*every)
    try:
        expected = {key(source): "active", key(told): "active"}
        if suppressed:
            expected[key(suppressed)] = "suppressed"
        wait_until(
            lambda: {key: server.states().get(key) for key in expected} == expected,
            f"{expected}, not {server.states()}",
        )
    finally:
        server.post(*every, seconds=-1)
        wait_until(lambda: not set(expected) & set(server.states()), "alerts over")


def test_the_alerts_that_hide_their_lesser_selves_are_those_with_two_severities() -> None:
    configuration = yaml.safe_load((SOURCE / "alertmanager.yml").read_text())
    first = configuration["inhibit_rules"][0]
    severities: dict[str, set[str]] = {}
    for rule in alerts():
        severities.setdefault(rule.name, set()).add(rule.severity)
    names = "|".join(sorted(name for name, found in severities.items() if len(found) > 1))
    assert first["source_matchers"] == [f'alertname=~"{names}"', 'severity="critical"']
    assert first["target_matchers"] == [f'alertname=~"{names}"', 'severity="warning"']


def test_every_inhibition_names_alerts_that_exist_on_both_sides() -> None:
    known = {rule.name for rule in alerts()}
    for rule in yaml.safe_load((SOURCE / "alertmanager.yml").read_text())["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            named = re.search(r'alertname=~?"([^"]+)"', " ".join(rule[side]))
            assert named and set(named[1].split("|")) <= known


def test_an_alert_reaches_courier_mail_slack_and_webhook_and_so_does_its_end(people: People) -> None:
    labels = alert("PipelineRunFailed", "warning", area="pipeline", run_id=RUN)
    about = {
        "summary": "A retraining run failed in train",
        "description": "train <killed> & no retry is left.",
        "runbook_url": "http://127.0.0.1:9181/runbooks/PipelineRunFailed",
        "dashboard": "http://127.0.0.1:3000/d/catwalk-pipeline",
    }
    people.alertmanager.post(labels, **about)
    mine = lambda: [mail for mail in people.mails() if "failed in train" in str(mail["Subject"])]  # noqa: E731
    wait_until(lambda: len(mine()) == 1, "a mail")
    mail = mine()[0]
    assert (mail["To"], mail["From"]) == ("ops@example.test", "catwalk@example.test")
    assert mail["Subject"] == f"WARNING: A retraining run failed in train – run {RUN}"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "train <killed> & no retry is left." in plain.get_content()
    assert f"http://127.0.0.1:9180/runs/{RUN}" in plain.get_content()
    assert "train &lt;killed&gt; &amp; no retry is left." in html.get_content()
    assert 'href="http://127.0.0.1:9181/runbooks/PipelineRunFailed"' in html.get_content()

    def slacks() -> list[Labels]:
        posted = [body["attachments"][0] for body in people.slack.bodies("/services/T0")]
        return [attachment for attachment in posted if "failed in train" in attachment["title"]]

    def hooks(listener: Listener, path: str) -> list[tuple[str, str]]:
        found = [one for body in listener.bodies(path) for one in body["alerts"]]
        return [
            (one["status"], one["labels"]["run_id"])
            for one in found
            if one["labels"]["alertname"] == labels["alertname"]
        ]

    wait_until(lambda: slacks(), "a message in Slack")
    attachment = slacks()[0]
    assert attachment["color"] == "warning"
    assert attachment["title"] == mail["Subject"]
    assert "train &lt;killed&gt; &amp; no retry is left." in attachment["text"]
    assert "<http://127.0.0.1:9181/runbooks/PipelineRunFailed|What to do>" in attachment["text"]
    wait_until(lambda: hooks(people.webhook, "/hook") == [("firing", RUN)], "the webhook")
    wait_until(lambda: hooks(people.courier, "/alertmanager") == [("firing", RUN)], "the courier")

    people.alertmanager.post(labels, seconds=-1, **about)
    wait_until(lambda: [mail["Subject"][:9] for mail in mine()] == ["WARNING: ", "Resolved:"], "a second mail")
    wait_until(lambda: [one["color"] for one in slacks()] == ["warning", "good"], "Slack hears of the end")
    for listener, path in ((people.webhook, "/hook"), (people.courier, "/alertmanager")):
        wait_until(lambda: [status for status, _ in hooks(listener, path)] == ["firing", "resolved"], "its end")  # noqa: B023


@pytest.fixture(scope="module")
def owners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Alertmanager, Listener]]:
    """An Alertmanager with the platform's receiver and two owners', and who listens for all of them."""
    folder, listener = tmp_path_factory.mktemp("owners"), Listener()
    for name in ("", "growth", "risk"):
        (folder / "receivers" / name).mkdir()
        (folder / "receivers" / name / "webhook_url").write_text(f"{listener.url}/{name or 'platform'}")
    found = Alertmanager(folder, receivers.read(folder / "receivers"), f"{listener.url}/courier")
    yield found, listener
    found.stop()
    listener.stop()


def heard(listener: Listener, name: str) -> dict[str, list[str]]:
    """Receiver of an alert → its statuses, in order."""
    found: dict[str, list[str]] = {}
    for _, path, body, _ in listener.received:
        for one in body["alerts"]:
            if one["labels"]["alertname"] == name:
                found.setdefault(path.split("/")[1], []).append(one["status"])
    return found


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_each_owner_hears_of_its_models_and_the_platform_of_the_rest(
    owners: tuple[Alertmanager, Listener], severity: str
) -> None:
    server, listener = owners
    for owner, whom in (("growth", "growth"), ("risk", "risk"), ("", "platform"), ("no folder", "platform")):
        name = f"OwnerOf{severity}{whom}{len(owner)}"
        server.post(alert(name, severity, area="model", model=name, **({"owner": owner} if owner else {})))
        wait_until(
            lambda name=name, whom=whom: heard(listener, name) == {"courier": ["firing"], whom: ["firing"]},  # type: ignore[misc]
            f"{whom} hears of {name}",
        )


def test_where_the_owner_changes_the_end_goes_to_whom_the_beginning_went(
    owners: tuple[Alertmanager, Listener],
) -> None:
    """Prometheus then ends the alert that names the old owner, and begins one that names the new one."""
    server, listener = owners
    before, after = (alert("Handed", area="model", model="m", owner=owner) for owner in ("growth", "risk"))
    server.post(before)
    wait_until(lambda: heard(listener, "Handed") == {"courier": ["firing"], "growth": ["firing"]}, "growth hears")
    server.post(before, seconds=-1)
    server.post(after)
    wait_until(lambda: heard(listener, "Handed").get("risk") == ["firing"], "risk hears")
    wait_until(lambda: heard(listener, "Handed")["growth"] == ["firing", "resolved"], "growth hears of the end")
    server.post(after, seconds=-1)
    wait_until(lambda: heard(listener, "Handed")["risk"] == ["firing", "resolved"], "risk hears of the end")
    assert heard(listener, "Handed").keys() == {"courier", "growth", "risk"}


def test_the_watchdog_comes_again_and_again_to_the_courier_alone(people: People) -> None:
    people.alertmanager.post(alert("Watchdog", "none"))

    def times() -> int:
        return sum(
            body["alerts"][0]["labels"]["alertname"] == "Watchdog" for body in people.courier.bodies("/alertmanager")
        )

    wait_until(lambda: times() >= 4, "the Watchdog, and three repeats")
    assert "Watchdog" not in str(people.webhook.received) + str(people.slack.received)
    assert not [mail for mail in people.mails() if "Watchdog" in str(mail["Subject"])]

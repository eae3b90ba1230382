"""How the courier itself reaches people when the alarm chain is broken: by command, e-mail, Slack or webhook.

It takes the same files as Alertmanager's receivers (those for everybody), and `CATWALK_CALLOUT_COMMAND`: a command of
the shell that gets the text on its standard input and `CATWALK_CALLOUT_EVENT` (`silent` or `recovered`).
"""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from ml.proxies import fetch_outside
from monitoring.courier.deadman import Event, Watch
from monitoring.courier.payload import VERSION
from monitoring.receivers import Channels, Email

TIMEOUT = 30.0
"""Seconds that a try may take."""
ALERT = "WatchdogSilent"
"""The alert's name in what webhooks get."""

Deliver = Callable[[Mapping[str, Any]], None]


def message(event: Event, watch: Watch, url: str) -> dict[str, Any]:
    """What is to be delivered: event, subject, text, and times as RFC 3339."""
    since = None if watch.heard is None else datetime.fromtimestamp(watch.heard, UTC)
    if event == "recovered":
        subject = "Resolved: Catwalk's alarm chain works again"
        text = "The Watchdog is heard again: alerts reach you."
    elif since is None:
        subject = "CRITICAL: Catwalk's alarm chain was never heard"
        text = (
            f"In {watch.silence:.0f} s the courier on {socket.gethostname()} has not heard the Watchdog once. "
            "Prometheus or Alertmanager does not run or does not reach it, so nobody hears of any alert. "
            "Look with `make status` and `catwalk doctor`."
        )
    else:
        subject = "CRITICAL: Catwalk's alarm chain is silent"
        text = (
            f"The courier on {socket.gethostname()} last heard the Watchdog at {since:%Y-%m-%d %H:%M:%S} UTC. "
            "Prometheus or Alertmanager has stopped, so nobody hears of any alert. "
            "Look with `make status` and `catwalk doctor`."
        )
    runbook = f"{url}/runbooks/Watchdog"
    return {
        "event": event,
        "subject": subject,
        "text": f"{text}\nWhat to do: {runbook}",
        "runbook_url": runbook,
        "time": datetime.now(UTC).isoformat(),
    }


def ways(channels: Channels, environment: Mapping[str, str] = os.environ) -> dict[str, Deliver]:
    """Channel → what delivers a message by it; empty where nobody can be called out."""
    found: dict[str, Deliver] = {}
    command = environment.get("CATWALK_CALLOUT_COMMAND", "")
    if command:
        found["command"] = lambda content: run_command(command, content)
    email, slack, webhook = channels.email, channels.slack_url_file, channels.webhook_url_file
    if email:
        found["email"] = lambda content: send_mail(email, content)
    if slack:
        found["slack"] = lambda content: post(slack, {"text": f"*{content['subject']}*\n{content['text']}"})
    if webhook:
        found["webhook"] = lambda content: post(webhook, as_alert(content))
    return found


def run_command(command: str, content: Mapping[str, Any]) -> None:
    """Runs a shell command.

    Raises:
        OSError: it fails, or takes too long; it is then ended with all that it has started.
    """
    environment = {**os.environ, "CATWALK_CALLOUT_EVENT": content["event"]}
    process = subprocess.Popen(
        ["sh", "-c", command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(f"{content['subject']}\n\n{content['text']}\n", timeout=TIMEOUT)
    except subprocess.TimeoutExpired as expired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise TimeoutError(f"the command took more than {TIMEOUT:.0f} s") from expired
    if process.returncode:
        raise OSError(f"the command ended with {process.returncode}: {errors.strip()}")


def send_mail(email: Email, content: Mapping[str, Any]) -> None:
    """Sends it to the addresses that Alertmanager mails to as well.

    Raises:
        OSError: the server can't be reached or refuses.
    """
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = content["subject"], email.sender, email.to
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="catwalk")
    mail.set_content(content["text"])
    host, _, port = email.smarthost.rpartition(":")
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(host, int(port), timeout=TIMEOUT, context=context)
        if port == "465"  # the port that speaks TLS from the start; Alertmanager goes by it too
        else smtplib.SMTP(host, int(port), timeout=TIMEOUT)
    ) as server:
        if email.require_tls and port != "465":
            server.starttls(context=context)
        if email.username and email.password_file:
            server.login(email.username, email.password_file.read_text().strip())
        server.send_message(mail)


def post(url_file: Path, body: Any) -> None:
    """Posts JSON to the URL that a file holds.

    Raises:
        OSError: it can't be reached or refuses.
    """
    data = json.dumps(body).encode()
    request = urllib.request.Request(
        url_file.read_text().strip(), data, {"Content-Type": "application/json", "User-Agent": "catwalk-courier"}
    )
    fetch_outside(request, TIMEOUT)


def as_alert(content: Mapping[str, Any]) -> dict[str, Any]:
    """The message in the shape of a notification of Alertmanager, for webhooks that know that one."""
    firing = content["event"] == "silent"
    labels = {"alertname": ALERT, "severity": "critical", "area": "telemetry"}
    annotations = {
        "summary": content["subject"].partition(": ")[2],
        "description": content["text"],
        "runbook_url": content["runbook_url"],
    }
    alert = {
        "status": "firing" if firing else "resolved",
        "labels": labels,
        "annotations": annotations,
        "startsAt": content["time"],
        "endsAt": "0001-01-01T00:00:00Z" if firing else content["time"],
        "generatorURL": "",
        "fingerprint": ALERT,
    }
    return {
        "version": VERSION,
        "groupKey": ALERT,
        "truncatedAlerts": 0,
        "status": alert["status"],
        "receiver": "courier",
        "groupLabels": {},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }

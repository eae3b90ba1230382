"""The transports of a callout: a shell command, SMTP, HTTP."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from catwalk.clients.courier import CALLOUT_SECONDS
from catwalk.environment.proxies import fetch_outside
from catwalk.notifications.receivers import Email
from catwalk_courier.delivery.channel import RefusedError

TIMEOUT = CALLOUT_SECONDS
"""The most seconds that an attempt may take."""


def run_command(command: str, content: Mapping[str, Any]) -> None:
    """Runs a shell command.

    Raises:
        OSError: it fails, or takes too long; it is then killed with all its child processes.
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
        raise OSError(f"the command exited with {process.returncode}: {errors.strip()}")


def send_mail(email: Email, content: Mapping[str, Any]) -> None:
    """Sends an e-mail to the addresses to which Alertmanager also sends.

    Raises:
        OSError: the server can't be reached or refuses.
        RefusedError: it refuses some of the addresses; the others got the e-mail.
    """
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = content["subject"], email.sender, ", ".join(email.to)
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="catwalk")
    mail.set_content(content["text"])
    host, _, port = email.smarthost.rpartition(":")
    host = host.strip("[]")  # of an IPv6 address
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(host, int(port), timeout=TIMEOUT, context=context)
        if port == "465"  # the port for implicit TLS; Alertmanager uses the same rule
        else smtplib.SMTP(host, int(port), timeout=TIMEOUT)
    ) as server:
        if email.require_tls and port != "465":
            server.starttls(context=context)
        if email.username and email.password_file:
            server.login(email.username, email.password_file.read_text().strip())
        refused = server.send_message(mail, email.sender, email.to)
    if refused:
        answers = (
            f"{address}: {code} {answer.decode(errors='replace')}" for address, (code, answer) in refused.items()
        )
        raise RefusedError(f"the server refuses {', '.join(answers)}")


def post(url: str, body: Any, **headers: str) -> None:
    """Posts JSON.

    Raises:
        OSError: it can't be reached or refuses; the message contains its answer.
    """
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "catwalk-courier", **headers}
    request = urllib.request.Request(url, data, headers)
    try:
        fetch_outside(request, TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(300).decode(errors="replace")
        raise OSError(f"{error.code} {error.reason}: {said}") from error

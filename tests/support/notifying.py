"""What notifications pass through in tests: a real Alertmanager, the courier as a process, and who listens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from catwalk.clients import access
from catwalk.notifications.receivers import Channels
from stack import notifications, web_config
from stack.ports import free_port
from stack.settings import PROJECT, tool
from tests.support.servers import MONITORING_PASSWORD, PATIENCE, wait_for_port, wait_until

RUN, OTHER_RUN = "20261123T030000Z-7f3a90c1", "20261124T030000Z-00c0ffee"
LINKS = {
    "stack": "catwalk",
    "runbooks": "http://127.0.0.1:9181/runbooks",
    "grafana": "http://127.0.0.1:3000",
    "exporter": "http://127.0.0.1:9180",
}


class Listener:
    """An HTTP server that keeps what is posted to it, and sends the answers that a test sets."""

    def __init__(self, answer: Callable[[str, str, Any], tuple[int, Any]] | None = None) -> None:
        """
        Args:
            answer: method, path and decoded body → status and what to answer as JSON; default: 200 and nothing.
        """
        self.received: list[tuple[str, str, Any, Mapping[str, str]]] = []
        """Method, path, decoded body and headers."""
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                decoded = json.loads(body) if body else None
                listener.received.append((self.command, self.path, decoded, dict(self.headers)))
                status, value = answer(self.command, self.path, decoded) if answer else (200, {})
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def bodies(self, path: str = "/") -> list[Any]:
        """What was posted to a path, oldest first."""
        return [body for _, found, body, _ in self.received if found == path]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Mailbox:
    """An SMTP server that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.recipients: list[list[str]] = []
        """The recipients of each mail."""
        self.refused: set[str] = set()
        """Addresses that are unknown here."""
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_RCPT(self, server: object, session: object, envelope: Any, address: str, options: object) -> str:
        if address in self.refused:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        self.recipients.append(envelope.rcpt_tos)
        self.mails.append(envelope.content)
        return "250 kept"

    def stop(self) -> None:
        self._controller.stop()


class Alertmanager:
    """Alertmanager with the rendered configuration; groups wait for a tenth of the shipped times."""

    def __init__(
        self,
        folder: Path,
        channels: Mapping[str, Channels],
        courier_url: str,
        quiet: Sequence[Mapping[str, Any]] = (),
        services_url: str = "",
    ) -> None:
        """
        Args:
            folder: for its configuration and data.
            channels: whom it tells besides the courier.
            courier_url: where the courier listens.
            quiet: when warnings wait.
            services_url: what stands in for Telegram; no file says where that is.
        """
        self.folder, self._courier_url, self._services_url = folder, courier_url, services_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._began = datetime.now(UTC) - timedelta(minutes=10)
        configuration = self.configure(channels, quiet)
        web_config.write(folder, MONITORING_PASSWORD)
        self._command = [
            str(tool("alertmanager")),
            f"--config.file={configuration}",
            f"--web.config.file={folder / web_config.WEB_FILE}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--enable-feature=receiver-name-in-metrics",
        ]
        self._start()

    def _start(self) -> None:
        with (self.folder / "alertmanager.log").open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=self.folder, stdout=log, stderr=log)
        wait_for_port(self.port, self.process)

    def restart(self) -> None:
        """Ends it and starts it again: it keeps silences, and no alert."""
        self.stop()
        self._start()

    def configure(self, channels: Mapping[str, Channels], quiet: Sequence[Mapping[str, Any]] = ()) -> Path:
        """Writes the configuration; :meth:`reload` applies a change."""
        path = notifications.write(self.folder, channels, self._courier_url, 1, quiet)
        text = path.read_text().replace("chat_id_file", f"api_url: {self._services_url}\n    chat_id_file")
        if self._services_url:
            path.write_text(text)
        return path

    def reload(self) -> None:
        """Applies what :meth:`configure` has written."""
        access.fetch(f"{self.url}/-/reload", b"", timeout=PATIENCE, password=MONITORING_PASSWORD)

    def post(self, *labels: Mapping[str, str], seconds: float = 600, **annotations: str) -> None:
        """Alerts that fire for so long; a negative time resolves them."""
        end = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        times = {"startsAt": self._began.isoformat(), "endsAt": end}
        alerts = [{"labels": {**LINKS, **given}, "annotations": annotations, **times} for given in labels]
        body = json.dumps(alerts).encode()
        access.fetch(f"{self.url}/api/v2/alerts", body, timeout=PATIENCE, password=MONITORING_PASSWORD)

    def states(self) -> dict[str, str]:
        """:func:`key` of each alert → ``status.state``."""
        found = json.loads(access.fetch(f"{self.url}/api/v2/alerts", timeout=PATIENCE, password=MONITORING_PASSWORD))
        return {key(alert["labels"]): alert["status"]["state"] for alert in found}

    def metric(self, sample: str) -> float:
        """The value of one of its own series; 0 while there is none."""
        text = access.fetch(f"{self.url}/metrics", timeout=PATIENCE, password=MONITORING_PASSWORD).decode()
        values = [line.rpartition(" ")[2] for line in text.splitlines() if line.rpartition(" ")[0] == sample]
        return float(values[0]) if values else 0.0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


def key(labels: Mapping[str, str]) -> str:
    """What tells the alerts of a test apart."""
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in LINKS)


class CourierProcess:
    """The courier as the stack starts it; can be killed and started again."""

    def __init__(self, home: Path, *program: str, **environment: str) -> None:
        """
        Args:
            home: its `CATWALK_HOME`.
            program: what to run in place of ``-m catwalk_courier``.
            environment: variables beside those of the test.
        """
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "courier.log"
        self._environment = {
            "CATWALK_HOME": str(home),
            "CATWALK_COURIER_URL": self.url,
            "CATWALK_MONITORING_PASSWORD": MONITORING_PASSWORD,
            "CATWALK_COURIER_RETRY_SECONDS": "0.2",
            "CATWALK_ALERTMANAGER_URL": "http://127.0.0.1:1",
            **environment,
        }
        self.start(*program)

    def start(self, *program: str, **environment: str) -> None:
        """Returns once it answers."""
        command = [sys.executable, *(program or ("-m", "catwalk_courier")), "--port", str(self.port)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CATWALK_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=PROJECT, env={**inherited, **self._environment, **environment}, stderr=log
            )
        wait_for_port(self.port, self.process)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM; it must end well."""
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0

    def get(self, path: str) -> str:
        """The text at a path."""
        return access.fetch(f"{self.url}{path}", timeout=PATIENCE, password="").decode()

    def told(self) -> dict[str, Any]:
        """Notifications and dead-man watch."""
        return dict(json.loads(self.get("/api/notifications")))

    def state(self) -> str:
        """The state of the dead-man watch."""
        return str(self.told()["deadman"]["state"])

    def post(
        self,
        body: Any,
        path: str = "/alertmanager",
        kind: str = "application/json",
        authorization: str = access.header(MONITORING_PASSWORD),
    ) -> tuple[int, str]:
        """Status and answer; the body goes as it is if it is bytes, else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": kind, "Authorization": authorization}
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def hear(self) -> None:
        """The Watchdog, as Alertmanager would tell of it."""
        assert self.post(notification("Watchdog", severity="none"))[0] == 200


def notification(
    name: str,
    status: str = "firing",
    start: str = "2026-11-23T03:11:04.123456789Z",
    end: str = "2026-11-23T03:41:04.1Z",
    **labels: str,
) -> dict[str, Any]:
    """What Alertmanager posts for one alert; one that fires has no end."""
    alert = {
        "status": status,
        "labels": {"alertname": name, **LINKS, **labels},
        "annotations": {
            "summary": f"{name} happened",
            "description": "Loss of the run is NaN.",
            "runbook_url": f"{LINKS['runbooks']}/{name}",
        },
        "startsAt": start,
        "endsAt": end if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": f"{abs(hash((name, *sorted(labels.items())))):016x}",
    }
    return {"version": "4", "status": status, "receiver": "courier", "alerts": [alert], "truncatedAlerts": 0}


def eventually(courier: CourierProcess, state: str) -> None:
    """Waits for a state of the dead-man watch."""
    wait_until(lambda: courier.state() == state, f"dead-man watch {state}")

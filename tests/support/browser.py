"""Chromium, driven by its DevTools protocol: pages as people see them, on a desktop or a phone, light or dark."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.servers import PATIENCE, wait_until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
DESKTOP, PHONE = 1440, 390
"""Widths in CSS pixels."""
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # root may use none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
)


class BrowserError(Exception):
    """The browser could not do it."""


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser of its own, for as long as it is used; the folder is for its profile."""
    command = [PROGRAM, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port = folder / "DevToolsActivePort"
    try:
        wait_until(lambda: port.is_file() and port.read_text().count("\n"), "the browser")
        number, path = port.read_text().split()
        with connect(f"ws://127.0.0.1:{number}{path}", max_size=None, proxy=None) as socket:
            yield Browser(socket)
    finally:
        process.kill()
        process.wait()


class Browser:
    """One window. Scripts of pages are off; the expressions of tests are evaluated all the same."""

    def __init__(self, socket: ClientConnection) -> None:
        """
        Args:
            socket: to the browser's DevTools.
        """
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """The browser's complaints about the pages so far, such as a part that their policy forbids."""
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")
        self._call("Log.enable")
        self._call("Emulation.setScriptExecutionDisabled", value=True)

    def look(self, width: int = DESKTOP, dark: bool = False) -> None:
        """Sets the window's width and the colour scheme."""
        phone = width < 600
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Returns once the page is loaded."""
        self._call("Page.navigate", url=address)
        self._loaded()

    def click(self, selector: str) -> None:
        """Clicks on what a page shows; :meth:`until` waits for where that leads."""
        place = self.evaluate(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)});"
            "found.scrollIntoView({block: 'center'}); const box = found.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Puts text into a field."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise BrowserError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    @property
    def address(self) -> str:
        """The URL of the page that is shown."""
        return str(self.evaluate("location.href"))

    @property
    def text(self) -> str:
        """What a person reads."""
        return str(self.evaluate("document.body.innerText"))

    def until(self, text: str) -> str:
        """What the page shows, once that has a text."""
        return wait_until(lambda: found if text in (found := self._text_now()) else "", f"{text!r} in the browser")

    def _text_now(self) -> str:
        """Empty while one page follows another."""
        try:
            return self.text
        except BrowserError:
            return ""

    @property
    def overflow(self) -> int:
        """CSS pixels by which the page is wider than the window."""
        return int(self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def picture(self, path: Path, whole: bool = True) -> None:
        """Stores a screenshot as PNG."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _loaded(self) -> None:
        wait_until(lambda: self.evaluate("document.readyState") == "complete", "the page")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps({**message, "sessionId": self._session} if self._session else message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("method") == "Log.entryAdded":
                self.complaints.append(answer["params"]["entry"]["text"])
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return dict(answer["result"])

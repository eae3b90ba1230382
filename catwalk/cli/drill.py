"""A test notification through each integration, and its outcome: `catwalk alerts --test`.

It posts an alert to the running Alertmanager, which routes, renders and sends it like any critical one. Alertmanager's
counters show the outcome of each integration, and outside containers its log shows why one failed. The courier reports
whether it received the alert, and makes a test callout through each of its own callouts.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from catwalk.clients import alertmanager
from catwalk.clients import courier as client
from catwalk.environment.parts import home
from catwalk.errors import CatwalkError
from catwalk.notifications.receivers import AREAS, COMMON, COURIER, EVERYBODY, owner

ALERT = "TestNotification"
PATIENCE = 90.0
"""Seconds that an integration has: Alertmanager waits 10 s for more alerts of a group, and a mail server may take 30.
"""
_QUOTED_ERROR = re.compile(r' err="((?:[^"\\]|\\.)*)"')
_LOUD = "a silence of planned work suppresses it; `catwalk silence --end` ends that"


@dataclass(frozen=True)
class Outcome:
    """The outcome of one integration."""

    receiver: str
    """Alertmanager's receiver; `callout` for the courier's own callouts."""
    way: str
    delivered: bool
    said: str
    """The result, in words."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def drill(alertmanager_url: str, courier_url: str, receiver: str = "", patience: float = PATIENCE) -> Iterator[Outcome]:
    """Sends the test; yields the outcome of each integration as soon as it is known.

    Args:
        alertmanager_url: Alertmanager's URL.
        courier_url: The courier's URL.
        receiver: The receiver, or one of its integrations (`growth/slack`); default: the receiver for everyone, and all
            that differ from it.
        patience: Seconds that Alertmanager has for each.

    Raises:
        AlertmanagerError, CourierError: One of them doesn't answer.
        CatwalkError: There is no such receiver or integration, or no integration is configured.
    """
    known = _receivers(alertmanager.configuration(alertmanager_url))
    called = client.told(courier_url, 1)["deadman"]["calls_out_by"]
    name, _, way = receiver.partition("/")
    trials = {one: _ways(one, known[one], way) for one in _chosen(known, name or receiver)}
    if not called and not any(trials.values()):
        raise CatwalkError(
            "no notifications are sent, because no receiver is configured; see prometheus/alertmanager/README.md, then "
            "restart the stack"
        )
    for one, ways in trials.items():
        yield from _Trial(alertmanager_url, courier_url, one, ways).outcomes(patience)
    if way or name not in ("", *COMMON):
        return  # the courier's callouts are for everyone, through all integrations
    for way, error in client.test_callouts(courier_url).items():
        yield Outcome("callout", way, not error, error or "delivered")


def _receivers(configuration: str) -> dict[str, dict[str, Any]]:
    """Receiver → its configuration, such as email_configs."""
    receivers = yaml.safe_load(configuration)["receivers"]
    found = {one["name"]: {key: value for key, value in one.items() if key != "name"} for one in receivers}
    if EVERYBODY not in found:
        raise CatwalkError(f"that Alertmanager has no receiver {EVERYBODY!r}: it doesn't use Catwalk's configuration")
    return found


def _ways(name: str, receiver: Mapping[str, Any], wanted: str = "") -> list[str]:
    """A receiver's integrations as Alertmanager's metrics name them, such as email; only the wanted one, if any."""
    found = [kind.removesuffix("_configs") for kind in receiver]
    if wanted and wanted not in found:
        raise CatwalkError(f"{name} has no integration {wanted!r}; its integrations are {', '.join(found) or 'none'}")
    return [wanted] if wanted else found


def _chosen(known: Mapping[str, Mapping[str, Any]], receiver: str) -> list[str]:
    """The receivers to test, without areas that notify the same people as the general one: they would get it twice."""
    ours = [*(name for name in COMMON if name in known), *sorted(known.keys() - {*COMMON, COURIER})]
    if receiver and receiver not in ours:
        raise CatwalkError(f"there is no receiver {receiver!r}; the receivers are {', '.join(ours)}")
    own = [name for name in ours if name == EVERYBODY or known[name] != known[EVERYBODY]]
    return [receiver] if receiver else own


def _matched(receiver: str) -> dict[str, str]:
    """The labels that route an alert to a receiver."""
    if receiver in AREAS:
        return {"area": receiver}
    return {} if receiver == EVERYBODY else {"owner": owner(receiver)}


class _Trial:
    """One test alert to one receiver."""

    def __init__(self, url: str, courier_url: str, receiver: str, ways: Sequence[str]) -> None:
        self._url, self._courier_url, self._receiver, self._ways = url, courier_url, receiver, ways
        # A unique value in a label that alerts are grouped by, so that it doesn't wait for other alerts.
        self._labels = {"alertname": ALERT, "severity": "critical", "model": f"test-{secrets.token_hex(4)}"}
        self._labels |= _matched(receiver)
        self._before, self._began = alertmanager.sent(url), time.time()
        self._made = self._before
        self._log = home() / "logs" / "alertmanager.log"
        self._offset = self._log.stat().st_size if self._log.exists() else 0

    def outcomes(self, patience: float) -> Iterator[Outcome]:
        """Posts the alert, waits for its outcomes, and ends it."""
        self._post(until=self._began + 2 * patience)
        try:
            yield from self._watch(time.monotonic() + patience)
        finally:
            self._post(until=time.time())

    def _post(self, until: float) -> None:
        annotations = {
            "summary": f"Test of the notifications of {self._receiver}",
            "description": "Someone is testing whether alerts reach you. Nothing is wrong; the alert ends in a moment.",
        }
        alertmanager.post(self._url, self._labels, annotations, self._began, until)

    def _watch(self, deadline: float) -> Iterator[Outcome]:
        waiting = ["courier", *self._ways]
        while waiting and time.monotonic() < deadline:
            time.sleep(0.5)
            held, counted = self._held_back(), alertmanager.sent(self._url)
            for way in list(waiting):
                outcome = self._outcome(way, counted) or (held and Outcome(self._receiver, way, False, held))
                if outcome:
                    waiting.remove(way)
                    yield outcome
            self._made = counted
        for way in waiting:
            yield Outcome(self._receiver, way, False, "not delivered in time; see Alertmanager's log")

    def _outcome(self, way: str, counted: Mapping[tuple[str, str], alertmanager.Tries]) -> Outcome | None:
        """An integration's outcome; None while it is unknown.

        Alertmanager counts an attempt before it counts its failure, so attempts are those of the previous reading.
        """
        if way == "courier":
            heard = client.told(self._courier_url, 50)["notifications"]
            kept = any(one["labels"].get("model") == self._labels["model"] for one in heard)
            return Outcome(self._receiver, way, True, "kept") if kept else None
        before = self._sent(self._before, way)
        tries = self._sent(self._made, way).made - before.made
        failures = self._sent(counted, way).failed - before.failed
        if tries > failures:
            return Outcome(
                self._receiver, way, True, "delivered" if not failures else "delivered at the second attempt"
            )
        said = self._why(way) if failures else ""
        return Outcome(self._receiver, way, False, said) if said else None

    def _sent(self, counted: Mapping[tuple[str, str], alertmanager.Tries], way: str) -> alertmanager.Tries:
        return counted.get((self._receiver, way)) or counted.get(("", way)) or alertmanager.Tries(0, 0)

    def _held_back(self) -> str:
        found = [
            one for one in alertmanager.active_alerts(self._url) if one.labels.get("model") == self._labels["model"]
        ]
        return _LOUD if found and found[0].state == "silenced" else ""

    def _why(self, way: str) -> str:
        """Why an integration failed; empty while the log may still say so: Alertmanager logs some errors only after it
        has tried all integrations.
        """
        if not self._log.exists():
            return "Alertmanager could not deliver it; see its log"
        return why(self._log, self._offset, self._receiver, way)


def why(log: Path, offset: int, receiver: str, way: str) -> str:
    """The last error of an integration in Alertmanager's log after an offset, in one line; empty if there is none."""
    with log.open(errors="replace") as file:
        file.seek(offset)
        found = [error for line in file if (error := _error(line, receiver, way))]
    return " ".join(found[-1].split()) if found else ""


def _error(line: str, receiver: str, way: str) -> str:
    quoted = _QUOTED_ERROR.search(line)
    error = quoted[1].replace('\\"', '"').replace("\\n", " ") if quoted else ""
    # The log quotes names that are not a plain word.
    if any(
        f"receiver={name} integration={way}[" in line for name in (receiver, json.dumps(receiver, ensure_ascii=False))
    ):
        return error
    name = re.escape(receiver)
    joined = re.search(rf"{name}/{way}\[\d+\]: notify retry [^:]+: (.*?)(?=; {name}/\w+\[\d+\]: |$)", error)
    return joined[1] if joined else ""

"""Quiet hours: when warnings wait and critical alerts still wake, by `quiet_hours.yml` in the folder of receivers.

    times: 22:00-07:00              # or a list; a time may span midnight
    weekdays: [saturday, sunday]    # these whole days
    location: Europe/Berlin         # the time zone; UTC by default

They apply to everyone. Alertmanager sends a warning after the quiet hours, if it is still firing.
"""

from __future__ import annotations

import re
import zoneinfo
from pathlib import Path
from typing import Any

from catwalk.errors import ConfigError
from catwalk.notifications import receiver_values
from catwalk.notifications.receiver_values import shown
from catwalk.notifications.text_files import text_of

NAME = "quiet_hours"
"""The name of the file, and of Alertmanager's time interval."""
FILE = f"{NAME}.yml"
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)|([01]\d|2[0-3]):([0-5]\d)-24:00")


def read(folder: Path) -> list[dict[str, Any]]:
    """Returns Alertmanager's time intervals; none if there is no file.

    Raises:
        ConfigError: the file can't be understood; the message names it.
    """
    path = folder / FILE
    text = text_of(path)
    if text is None:
        return []
    try:
        return _intervals(receiver_values.mapping(text))
    except ValueError as error:
        raise ConfigError(f"{path} {error}; correct or remove it") from error


def _intervals(values: dict[str, Any]) -> list[dict[str, Any]]:
    if not values.keys() <= {"times", "weekdays", "location"} or not values.keys() & {"times", "weekdays"}:
        raise ValueError("must have the key times, weekdays or both, and may have location")
    location = {"location": _location(values.get("location", "UTC"))}
    found: list[dict[str, Any]] = []
    if "times" in values:
        found.append({"times": [part for text in _list(values["times"]) for part in _times(text)], **location})
    if "weekdays" in values:
        found.append({"weekdays": [_weekday(text) for text in _list(values["weekdays"])], **location})
    return found


def _list(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    if not found:
        raise ValueError("has an empty list")
    return found


def _times(text: Any) -> list[dict[str, str]]:
    """Returns Alertmanager's times, which end at midnight at the latest."""
    start, _, end = text.partition("-") if isinstance(text, str) and _TIME.fullmatch(text) else ("", "", "")
    if start == end:
        raise ValueError(f"must have times such as 22:00-07:00, not {shown(text)}")
    if start < end:
        return [{"start_time": start, "end_time": end}]
    before = {"start_time": start, "end_time": "24:00"}
    return [before] if end == "00:00" else [before, {"start_time": "00:00", "end_time": end}]


def _weekday(text: Any) -> str:
    if text not in _WEEKDAYS:
        raise ValueError(f"must have weekdays such as saturday, not {shown(text)}")
    return str(text)


def _location(text: Any) -> str:
    try:
        return str(zoneinfo.ZoneInfo(text))
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"must have a time zone such as Europe/Berlin as its location, not {shown(text)}") from None

"""Quiet hours: what the file may contain, and how a real Alertmanager applies it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catwalk.errors import ConfigError
from catwalk.notifications import quiet_hours, receivers
from tests.support.notifying import Alertmanager, Listener
from tests.support.servers import wait_until

ALWAYS = [{"times": [{"start_time": "00:00", "end_time": "24:00"}], "location": "UTC"}]


def read(folder: Path, text: str) -> list[dict[str, Any]]:
    (folder / "quiet_hours.yml").write_text(text)
    return quiet_hours.read(folder)


def test_a_night_spans_midnight_and_days_are_whole(tmp_path: Path) -> None:
    text = "times: 22:00-07:00\nweekdays: [saturday, sunday]\nlocation: Europe/Berlin\n"
    assert read(tmp_path, text) == [
        {
            "times": [
                {"start_time": "22:00", "end_time": "24:00"},
                {"start_time": "00:00", "end_time": "07:00"},
            ],
            "location": "Europe/Berlin",
        },
        {"weekdays": ["saturday", "sunday"], "location": "Europe/Berlin"},
    ]
    assert read(tmp_path, "times: [12:00-13:00, 22:00-00:00]") == [
        {
            "times": [{"start_time": "12:00", "end_time": "13:00"}, {"start_time": "22:00", "end_time": "24:00"}],
            "location": "UTC",
        }
    ]
    assert read(tmp_path, "times: 00:00-24:00") == ALWAYS


def test_without_a_file_nothing_is_quiet(tmp_path: Path) -> None:
    assert quiet_hours.read(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must contain `key: value`"),
        ("22:00-07:00", "must contain `key: value`"),
        ("location: UTC", "must have the key times, weekdays or both"),
        ("time: 22:00-07:00", "must have the key times, weekdays or both"),
        ("times: []", "has an empty list"),
        ("times: 22:00", "must have times such as 22:00-07:00, not"),
        ("times: 22-7", "must have times such as 22:00-07:00, not '22-7'"),
        ("times: 22:00-25:00", "must have times such as"),
        ("times: 24:00-07:00", "must have times such as"),
        ("times: 22:00-22:00", "must have times such as"),
        ("times: [22:00-07:00, 7]", "must have times such as 22:00-07:00, not 7"),
        ("weekdays: Saturday", "must have weekdays such as saturday, not 'Saturday'"),
        ("weekdays: [saturday, funday]", "must have weekdays such as saturday, not 'funday'"),
        ("times: 22:00-07:00\nlocation: Berlin", "a time zone such as Europe/Berlin as its location, not 'Berlin'"),
        ("times: 22:00-07:00\nlocation: Europe", "a time zone such as Europe/Berlin as its location, not 'Europe'"),
        ("times: 22:00-07:00\nlocation: 1", "a time zone such as Europe/Berlin as its location, not 1"),
        ("times: 22:00-07:00\ntimes: 12:00-13:00", "has the key times twice"),
    ],
)
def test_nonsense_is_one_line_that_names_the_file(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as refused:
        read(tmp_path, text)
    assert str(tmp_path / "quiet_hours.yml") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
def listeners() -> Iterator[tuple[Listener, Listener]]:
    """The courier and the team's webhook."""
    both = Listener(), Listener()
    yield both
    for listener in both:
        listener.stop()


def told(listener: Listener) -> set[str]:
    return {one["labels"]["alertname"] for _, _, body, _ in listener.received for one in body["alerts"]}


@pytest.mark.integration
def test_warnings_wait_for_the_end_of_quiet_hours_and_critical_alerts_do_not(
    tmp_path: Path, listeners: tuple[Listener, Listener]
) -> None:
    courier, people = listeners
    (tmp_path / "receivers").mkdir()
    (tmp_path / "receivers" / "webhook_url").write_text(people.url)
    channels = receivers.read(tmp_path / "receivers")
    alertmanager = Alertmanager(tmp_path, channels, courier.url, ALWAYS)
    alerts = [
        {"alertname": f"{severity} of {area}", "severity": severity, "area": area}
        for severity in ("warning", "critical")
        for area in ("model", "pipeline", "telemetry", "kitchen")
    ]
    every, critical = {one["alertname"] for one in alerts}, {one["alertname"] for one in alerts[4:]}
    muted = 'alertmanager_notifications_suppressed_total{reason="mute_time_interval"}'
    try:
        alertmanager.post(*alerts)
        wait_until(lambda: told(courier) == every, "the courier keeps everything")
        wait_until(lambda: told(people) >= critical, "critical alerts are sent")
        wait_until(lambda: alertmanager.metric(muted) >= 4, "the groups of the warnings were processed")
        assert told(people) == critical
        alertmanager.configure(channels)
        alertmanager.reload()
        wait_until(lambda: told(people) == every, "notifications of what is still firing follow")
    finally:
        alertmanager.stop()

"""When runs are due."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from catwalk.environment.schedule import Schedule
from catwalk.errors import ConfigError


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def next_two(after: str) -> list[str]:
    """Returns the next runs by the environment's schedule, as days and hours."""
    times = islice(Schedule.from_environment().after(unix(after)), 2)
    return [datetime.fromtimestamp(time, UTC).strftime("%m-%d %H:%M") for time in times]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CATWALK_SCHEDULE", "CATWALK_SCHEDULE_SECONDS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 3 * * *", ["11-28 03:00", "11-29 03:00"]),
        ("0 3 * * 1-5", ["11-30 03:00", "12-01 03:00"]),  # Monday
        (" @daily ", ["11-28 00:00", "11-29 00:00"]),
        ("@weekly", ["11-29 00:00", "12-06 00:00"]),
        ("@quarterly", ["01-01 00:00", "04-01 00:00"]),
        ("@midnight", ["11-28 00:00", "11-29 00:00"]),
        ("@annually", ["01-01 00:00", "01-01 00:00"]),
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00"]),
        ("*/30 * * * *", ["11-27 03:30", "11-27 04:00"]),
        ("", ["11-28 03:00", "11-29 03:00"]), ("None", []), ("@once", []), ("@continuous", []),
    ],
)  # fmt: skip
def test_the_next_runs_after_one_that_began_on_a_friday(
    schedule: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_SCHEDULE", schedule)
    assert next_two("2026-11-27T03:00:07") == expected


def test_the_default_is_every_night_at_three() -> None:
    assert next_two("2026-11-27T12:00:00") == ["11-28 03:00", "11-29 03:00"]


def test_seconds_take_precedence_over_the_cron(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SCHEDULE", "not even a cron")
    monkeypatch.setenv("CATWALK_SCHEDULE_SECONDS", "5400")
    assert next_two("2026-11-27T12:00:00") == ["11-27 13:30", "11-27 15:00"]
    assert str(Schedule.from_environment()) == "every 90 min"
    monkeypatch.setenv("CATWALK_SCHEDULE", "0 3 * * *")
    monkeypatch.setenv("CATWALK_SCHEDULE_SECONDS", "")
    assert next_two("2026-11-27T12:00:00") == ["11-28 03:00", "11-29 03:00"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "0.5 s"),
        (90, "90 s"),
        (300, "5 min"),
        (3600, "1 h"),
        (86_400, "24 h"),
        (604_800, "7 d"),
        (1e7 + 1, "10000001 s"),
    ],
)
def test_an_interval_is_written_as_people_write_it_and_reads_back(seconds: float, words: str) -> None:
    schedule = Schedule("", seconds)
    assert str(schedule) == f"every {words}"
    assert Schedule.of(str(schedule)) == schedule
    assert Schedule.of(f"every {seconds:.15g} s") == schedule


def test_no_local_clock_changes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert next_two("2026-10-24T12:00:00") == ["10-25 03:00", "10-26 03:00"]


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 3 * * * Europe/Berlin", "2026-11-27T02:00:07", ["11-28 02:00", "11-29 02:00"]),
        ("30 2 * * * Europe/Berlin", "2026-03-28T01:30:05", ["03-29 01:00", "03-30 00:30"]),  # no 02:30 on the 29th
        ("30 2 * * * Europe/Berlin", "2026-10-24T00:30:05", ["10-25 00:30", "10-26 01:30"]),  # 02:30 twice, on the 25th
        ("30 2 * * * Europe/Berlin", "2026-10-25T00:30:05", ["10-26 01:30", "10-27 01:30"]),
        ("0 * * * * Europe/Berlin", "2026-10-25T00:00:05", ["10-25 01:00", "10-25 02:00"]),
        ("0 * * * * Europe/Berlin", "2026-03-29T00:00:05", ["03-29 01:00", "03-29 02:00"]),
        ("30 1 * * 0 America/New_York", "2026-10-26T00:00:00", ["11-01 05:30", "11-08 06:30"]),
        ("0 3 * * * UTC", "2026-10-24T12:00:00", ["10-25 03:00", "10-26 03:00"]),
    ],
)
def test_a_cron_may_name_the_zone_whose_clock_it_reads(schedule: str, after: str, expected: list[str]) -> None:
    found = Schedule.of(schedule)
    times = islice(found.after(unix(after)), 2)
    assert [datetime.fromtimestamp(time, UTC).strftime("%m-%d %H:%M") for time in times] == expected
    assert str(found) == schedule.removesuffix(" UTC") and Schedule.of(str(found)) == found


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "Europe", "../UTC", "5", "Europe/Berlin again"])
def test_an_unknown_zone_is_never_due(zone: str) -> None:
    assert not list(Schedule.of(f"0 3 * * * {zone}").after(0))


@pytest.mark.parametrize(
    "schedule",
    ["soon", "61 * * * *", "0 3 * *", "0 0 31 2 *", "@every 1h", "0 0 1 1 * 0 2020", "R 3 * * *", "0 3 * * * UTC"],
)
def test_an_expression_that_never_fires_is_one_clear_line(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_SCHEDULE", schedule)
    with pytest.raises(ConfigError, match="CATWALK_SCHEDULE must be five cron fields with a next time") as refused:
        Schedule.from_environment()
    assert schedule in str(refused.value)
    assert "\n" not in str(refused.value)

"""How often a logging run reports that it is alive, as the environment sets it."""

from __future__ import annotations

import pytest

from catwalk.environment.heartbeats import Heartbeats
from catwalk.errors import ConfigError


@pytest.mark.parametrize(
    ("beat", "lost", "expected"),
    [
        ("", "", Heartbeats(60, 180)),
        ("600", "", Heartbeats(600, 1_800)),
        ("", "7200", Heartbeats(60, 7_200)),
        ("0.5", "", Heartbeats(0.5, 30)),
        ("15", "30", Heartbeats(15, 30)),
    ],
)
def test_set_values_are_used_and_the_default_patience_is_three_heartbeats(
    beat: str, lost: str, expected: Heartbeats
) -> None:
    given = {"CATWALK_RUN_HEARTBEAT_SECONDS": beat, "CATWALK_LOST_SECONDS": lost}
    assert Heartbeats.from_environment(given) == expected


@pytest.mark.parametrize(
    ("beat", "lost", "told"),
    [
        ("often", "", "CATWALK_RUN_HEARTBEAT_SECONDS must be a number of seconds above 0 to 2592000, not 'often'"),
        ("1e300", "", "CATWALK_RUN_HEARTBEAT_SECONDS must be a number of seconds above 0 to 2592000, not '1e300'"),
        ("1", "2", "CATWALK_LOST_SECONDS must be at least 30, not 2: heartbeats are seen with a delay"),
        ("60", "never", "CATWALK_LOST_SECONDS must be a number of seconds above 0, not 'never'"),
        (
            "100",
            "180",
            "CATWALK_LOST_SECONDS must be at least twice CATWALK_RUN_HEARTBEAT_SECONDS, which is 100, not 180",
        ),
    ],
)
def test_settings_that_would_lose_a_live_run_are_refused_in_one_line(beat: str, lost: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Heartbeats.from_environment({"CATWALK_RUN_HEARTBEAT_SECONDS": beat, "CATWALK_LOST_SECONDS": lost})
    assert str(refused.value) == told

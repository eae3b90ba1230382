"""What the gate concludes from the behaviour of a challenger in a server."""

from __future__ import annotations

from typing import Any

import pytest

from catwalk.gate.config import GateConfig
from catwalk.gate.decision import ruled
from catwalk.gate.served import Served, does_not_serve, not_asked, serves
from catwalk.ledger.records.decision import CheckRecord

FLOOR = CheckRecord("accuracy_floor", "passed", 0.9, 0.8, None, None, "Test accuracy 90% reaches the floor.")
READY = CheckRecord("precondition", "passed", None, None, None, None, "All is there.")
WELL: dict[str, Any] = {
    "examples": 200, "other_answers": 0, "start_seconds": 3.0, "p99_seconds": 0.02, "memory_bytes": 600_000_000
}  # fmt: skip


def decided(check: CheckRecord) -> tuple[str, str]:
    ruling = ruled([READY, FLOOR, check])
    return ruling.decision, ruling.reason


def test_a_model_that_serves_as_it_was_tested_ships() -> None:
    check = serves(Served(**WELL), GateConfig(serve_memory_bytes_cap=600_000_000, serve_p99_seconds_cap=1.0))
    assert (check.verdict, check.value, check.threshold) == ("passed", 0.02, 1.0)
    assert check.sentence == (
        "In a separate server it gives the same answer as in its test to 200 of 200 examples, "
        "has a 99th percentile of 0.020 s, is ready after 3.0 s, and uses 600,000,000 bytes."
    )
    assert decided(check) == ("ship", "first")


CAPPED = GateConfig(serve_memory_bytes_cap=10**9, serve_p99_seconds_cap=1.0, serve_start_seconds_cap=120.0)


@pytest.mark.parametrize(
    ("did", "said"),
    [
        ({"other_answers": 1}, "gives the same answer as in its test to only 199 of 200 examples"),
        ({"p99_seconds": 1.001}, "99th percentile of 1.001 s, above the cap of 1.000 s"),
        ({"start_seconds": 120.1}, "ready after 120.1 s, above the cap of 120.0 s"),
        ({"memory_bytes": 10**9 + 1}, "uses 1,000,000,001 bytes, above the cap of 1,000,000,000 bytes"),
    ],
)
def test_a_model_that_does_not_is_held_with_the_reason(did: dict[str, Any], said: str) -> None:
    check = serves(Served(**{**WELL, **did}), CAPPED)
    assert check.verdict == "failed" and said in check.sentence
    assert decided(check) == ("hold", "serves")


def test_without_caps_a_slow_machine_holds_nothing() -> None:
    slow = serves(Served(**{**WELL, "p99_seconds": 20.0, "start_seconds": 250.0, "memory_bytes": 10**11}), GateConfig())
    assert slow.verdict == "passed"


def test_a_model_whose_server_fails_is_held_and_an_unchecked_model_is_not() -> None:
    assert decided(does_not_serve("it does not start")) == ("hold", "serves")
    assert decided(not_asked("serve_check is off")) == ("ship", "first")


def test_the_more_serious_reason_comes_first() -> None:
    assert ruled([READY, FLOOR, CheckRecord("recall_floor", "failed", 0, 1, None, None, "Low."),
                  does_not_serve("gone")]).reason == "floor"  # fmt: skip

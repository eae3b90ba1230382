"""The table of alerts is up to date."""

from __future__ import annotations

from tests.prometheus.table import PAGE, page


def test_the_committed_table_is_what_the_rules_and_tests_give() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.prometheus.table` in .venv"

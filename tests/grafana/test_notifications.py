"""The panel of notifications, as Prometheus evaluates its queries with the rules that count for it."""

from __future__ import annotations

import pytest

from grafana.dashboards.telemetry import NOTIFICATIONS
from tests.prometheus.book import complaint
from tests.prometheus.scenario import has, scenario

pytestmark = pytest.mark.integration

STEP = "5m"


def told(server: str, name: str, labels: str, values: str) -> dict[str, str]:
    """A counter of a server that started a minute before it was scraped first."""
    return {f'{name}{{job="{server}", instance="{server}:1", {labels}}}': values}


def sent(receiver: str, values: str) -> dict[str, str]:
    labels = f'integration="webhook", receiver_name="{receiver}"'
    return told("alertmanager", "alertmanager_notifications_total", labels, values)


STARTED = {
    f'process_start_time_seconds{{job="{server}", instance="{server}:1"}}': "-60x60"
    for server in ("alertmanager", "courier")
}
WATCHDOG = {**sent("courier", "0+1x60"), **told("courier", "catwalk_courier_stored_total", 'status="firing"', "1x60")}


def assert_shown(series: dict[str, str], expected: list[dict[str, float]]) -> None:
    asked = [expr.replace("offset -$__interval", "").replace("$__interval", STEP) for _, expr in NOTIFICATIONS]
    expect = (has(expr, "8m", wanted) for expr, wanted in zip(asked, expected, strict=True))
    assert not complaint([scenario("notifications", {**STARTED, **series}, *expect)], beside=["job:counter:growth"])


def test_the_watchdogs_regular_notifications_are_left_out() -> None:
    assert_shown(WATCHDOG, [{}, {}, {}])


def test_an_alert_is_counted_where_it_goes() -> None:
    stored = told("courier", "catwalk_courier_stored_total", 'status="firing"', "1x30 2x30")
    mailed = sent("everybody/email", "0x30 1x30")
    assert_shown({**WATCHDOG, **stored, **mailed}, [{"{}": 1}, {"{}": 1}, {}])

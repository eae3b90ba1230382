"""What dashboards find of the exporter over an upgrade from 0.1, where its job and its link were called registry."""

from __future__ import annotations

from pathlib import Path

from grafana.board import place
from grafana.dashboards.home import attention
from grafana.queries import not_scraped_seconds
from tests.prometheus.scenario import Scenario, has, promtool, scenario, write


def assert_so(folder: Path, *stories: Scenario) -> None:
    assert promtool(write(folder, [], stories)) == ""


def link(name: str, url: str) -> str:
    return f'catwalk_links_info{{name="{name}", url="{url}"}}'


def test_a_link_is_known_until_the_exporter_says_it_anew(tmp_path: Path) -> None:
    asked = str(place("exporter").build().definition).removeprefix("query_result")
    urls = f"max by (url) ({asked})"
    assert_so(
        tmp_path,
        scenario(
            "the exporter is not there for an hour",
            {link("registry", "http://old"): "1x30 stale", link("exporter", "http://new"): "_x400 1x30"},
            has(urls, "1h", {'{url="http://old"}': 1}),
            has(urls, "1h10m", {'{url="http://new"}': 1}),
        ),
    )


def test_since_when_the_exporter_is_not_scraped_is_known(tmp_path: Path) -> None:
    asked = not_scraped_seconds("exporter|courier")
    scraped = "job:scraped_timestamp_seconds:last"
    assert_so(
        tmp_path,
        scenario(
            "it does not start after an upgrade",
            {f'{scraped}{{job="registry"}}': "0+10x30 stale", 'up{job="exporter"}': "_x40 0x400"},
            has(asked, "1h", {'{job="exporter"}': 3_300}),
        ),
        scenario(
            "it is scraped after an upgrade, and later no more",
            {
                f'{scraped}{{job="registry"}}': "0+10x30 stale",
                f'{scraped}{{job="exporter"}}': "_x40 400+10x30 stale",
                'up{job="exporter"}': "_x40 1x30 0x400",
            },
            has(asked, "10m", {'{job="exporter"}': 0}),
            has(asked, "1h", {'{job="exporter"}': 2_900}),
        ),
    )


def test_a_prometheus_of_ones_own_may_have_the_job_under_its_name_of_before(tmp_path: Path) -> None:
    asked = attention("telemetry", "exporter")
    well = {'ALERTS{alertname="Watchdog", alertstate="firing"}': "1x200"}
    expected = has(asked, "5m", {"{}": 0}), has(asked, "15m", {"{}": 3})
    assert_so(
        tmp_path,
        *(scenario(job, {**well, f'up{{job="{job}"}}': "1x60 0x100"}, *expected) for job in ("registry", "exporter")),
    )

"""Ports and home come from the environment; invalid values are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from catwalk.environment.addresses import PORTS
from catwalk.environment.former_names import tell
from stack.settings import Settings, StackError


def test_defaults_are_the_documented_ports() -> None:
    settings = Settings.from_environment({})
    assert settings.ports == PORTS
    assert settings.home.name == ".catwalk"


def test_every_port_and_the_home_can_be_changed(tmp_path: Path) -> None:
    environment = {f"CATWALK_PORT_{name.upper()}": str(20_000 + index) for index, name in enumerate(PORTS)}
    settings = Settings.from_environment({**environment, "CATWALK_HOME": str(tmp_path)})
    assert list(settings.ports.values()) == [20_000 + index for index in range(len(PORTS))]
    assert settings.home == tmp_path


def test_the_settings_of_a_home_change_ports_and_intervals(tmp_path: Path) -> None:
    (tmp_path / "local.env").write_text("export CATWALK_PORT_S3 = 17070 # free\nCATWALK_SCRAPE_INTERVAL='5s'\n")
    settings = Settings.from_environment({"CATWALK_HOME": str(tmp_path)})
    assert (settings.ports["s3"], settings.interval) == (17_070, "5s")


def test_a_port_is_read_under_its_former_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tell.cache_clear()
    environment = {"CATWALK_HOME": str(tmp_path), "CATWALK_PORT_REGISTRY": "19180"}
    assert Settings.from_environment(environment).ports["exporter"] == 19_180
    assert "CATWALK_PORT_REGISTRY is now called CATWALK_PORT_EXPORTER; rename it in the environment" in caplog.text
    local = tmp_path / "local.env"
    local.write_text("CATWALK_PORT_REGISTRY=29180\n")
    environment["CATWALK_PORT_EXPORTER"] = "39180"
    assert Settings.from_environment(environment).ports["exporter"] == 29_180, "a home's own settings win"
    assert f"rename it in {local}" in caplog.text
    local.write_text("CATWALK_PORT_REGISTRY=29180\nCATWALK_PORT_EXPORTER=49180\n")
    assert Settings.from_environment(environment).ports["exporter"] == 49_180
    assert f"CATWALK_PORT_EXPORTER and CATWALK_PORT_REGISTRY differ in {local}" in caplog.text


def test_a_home_has_one_spelling(tmp_path: Path) -> None:
    """The kernel shows the working directory of a process without links, and a stack recognises its own by that."""
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    for text in (tmp_path / "link", tmp_path / "link" / ".." / "home"):
        assert Settings.from_environment({"CATWALK_HOME": str(text)}).home == (tmp_path / "home").resolve()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("CATWALK_HOME=/elsewhere", "can't set CATWALK_HOME"),
        ("CATWALK_PORT_S3=many", "CATWALK_PORT_S3 must be a port"),
        ("nonsense", r"local\.env, line 1: this is not NAME=value"),
    ],
)
def test_nonsense_in_the_settings_of_a_home_is_one_line(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "local.env").write_text(line)
    with pytest.raises(StackError, match=complaint):
        Settings.from_environment({"CATWALK_HOME": str(tmp_path)})


@pytest.mark.parametrize("text", ["0", "65536", "http", "-1", "80 80", "٣"])
def test_an_absurd_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(StackError, match="CATWALK_PORT_PROMETHEUS must be a port from 1 to 65535"):
        Settings.from_environment({"CATWALK_PORT_PROMETHEUS": text})


def test_two_parts_on_one_port_are_refused() -> None:
    with pytest.raises(StackError, match="CATWALK_PORT_S3 and CATWALK_PORT_EXPORTER are both 9180"):
        Settings.from_environment({"CATWALK_PORT_S3": "9180"})


def test_an_absurd_interval_is_refused() -> None:
    with pytest.raises(StackError, match="CATWALK_SCRAPE_INTERVAL"):
        Settings.from_environment({"CATWALK_SCRAPE_INTERVAL": "often"})


def test_a_deep_home_gets_a_socket_path_that_the_kernel_takes(tmp_path: Path) -> None:
    deep = Settings(tmp_path / ("x" * 120))
    other = Settings(tmp_path / ("y" * 120))
    assert len(str(deep.socket)) < 108
    assert deep.socket != other.socket

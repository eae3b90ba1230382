"""The environment of a stack's processes."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

from catwalk.environment.addresses import PORTS
from stack.configuration.environment import (
    client_environment,
    own_environment,
    process_environment,
    write_airflow_password,
    write_client_environment,
)
from stack.settings import PROJECT, Settings


def test_ports_and_home_reach_every_setting(tmp_path: Path) -> None:
    settings = Settings(
        tmp_path,
        dict.fromkeys(PORTS, 1)
        | {
            "alertmanager": 2,
            "exporter": 3,
            "airflow": 4,
            "s3": 5,
            "statsd": 6,
        },
    )
    environment = client_environment(settings)
    assert environment["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:5"
    assert environment["CATWALK_STATSD"] == "127.0.0.1:6"
    assert environment["AIRFLOW__METRICS__STATSD_PORT"] == "6"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:4/execution/"
    assert str(tmp_path) in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def test_the_callers_airflow_and_aws_settings_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW__CORE__EXECUTOR", "AWS_PROFILE", "PYTHONDONTWRITEBYTECODE", "CATWALK_STORE"):
        monkeypatch.setenv(name, "theirs")
    assert "theirs" not in process_environment(Settings(tmp_path)).values()


def test_a_socks_proxy_stays_out_and_other_proxies_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's HTTP client fails if it sees a SOCKS proxy, even if it doesn't need it."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("https_proxy", "http://proxy.corp:3128")
    environment = process_environment(Settings(tmp_path))
    assert "ALL_PROXY" not in environment
    assert environment["https_proxy"] == "http://proxy.corp:3128"


def test_this_machine_and_parts_elsewhere_are_reached_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "git.corp")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("CATWALK_HEARTBEAT_URL", "http://beat.example.com")
    (tmp_path / "local.env").write_text("CATWALK_GRAFANA_URL=http://grafana.corp:3000\n")
    environment = process_environment(Settings(tmp_path))
    for name in ("NO_PROXY", "no_proxy"):
        assert environment[name] == "127.0.0.1,localhost,::1,grafana.corp,git.corp"


def test_the_region_is_the_servers_too(tmp_path: Path) -> None:
    (tmp_path / "local.env").write_text("AWS_REGION=eu-central-1\n")
    environment = process_environment(Settings(tmp_path))
    assert (environment["AWS_REGION"], environment["VGW_REGION"]) == ("eu-central-1", "eu-central-1")


def test_the_settings_of_a_home_win(tmp_path: Path) -> None:
    (tmp_path / "local.env").write_text("CATWALK_TASK_RETRIES=9\nAIRFLOW__CORE__PARALLELISM=2\n")
    environment = client_environment(Settings(tmp_path))
    assert (environment["CATWALK_TASK_RETRIES"], environment["AIRFLOW__CORE__PARALLELISM"]) == ("9", "2")


def test_an_empty_value_there_is_unset_unless_empty_has_a_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_GRAFANA_URL", "")
    default = client_environment(Settings(tmp_path))
    names = ("CATWALK_STORE", "CATWALK_AIRFLOW_PASSWORD", "CATWALK_GRAFANA_PASSWORD", "AIRFLOW__CORE__EXECUTOR")
    (tmp_path / "local.env").write_text("".join(f"{name}=\n" for name in (*names, "CATWALK_STATSD", "GF_X")))
    environment = client_environment(Settings(tmp_path))
    assert {name: environment[name] for name in names} == {name: default[name] for name in names}
    assert environment["CATWALK_GRAFANA_URL"] == "http://127.0.0.1:3000"
    assert environment["CATWALK_STATSD"] == "", "telemetry is off"


def test_an_empty_password_does_not_give_grafana_its_default(tmp_path: Path) -> None:
    (tmp_path / "local.env").write_text("CATWALK_GRAFANA_PASSWORD=\nGF_SECURITY_ADMIN_PASSWORD=\n")
    assert len(own_environment(Settings(tmp_path), "grafana")["GF_SECURITY_ADMIN_PASSWORD"]) >= 18


def test_relative_folders_are_relative_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATWALK_DATASET_ROOT", "mine")
    assert client_environment(Settings(tmp_path))["CATWALK_DATASET_ROOT"] == str(tmp_path / "mine")


def test_files_with_secrets_are_private(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    write_airflow_password(settings)
    for path in (write_client_environment(settings), tmp_path / "airflow" / "passwords.json"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_no_folder_of_a_first_start_outlives_a_home_that_is_moved(tmp_path: Path) -> None:
    """Airflow's configuration, which Airflow writes itself, contains absolute paths of folders."""
    home = tmp_path / "airflow"
    subprocess.run(
        [str(PROJECT / ".venv" / "bin" / "airflow"), "config", "get-value", "core", "executor"],
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(home)},
        capture_output=True,
        check=True,
        timeout=300,
    )
    written = configparser.ConfigParser(interpolation=None)
    written.read(home / "airflow.cfg")
    places = {
        f"AIRFLOW__{section}__{key}".upper()
        for section in written.sections()
        for key, value in written[section].items()
        if str(home) in value
    }
    assert len(places) > 3
    assert places <= client_environment(Settings(tmp_path)).keys()


def test_env_can_be_evaluated_by_a_shell(tmp_path: Path) -> None:
    command = f'eval "$({sys.executable} -m stack env)" && printf %s "$CATWALK_STORE $CATWALK_HOME"'
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "CATWALK_HOME": str(tmp_path)},
    )
    assert done.stdout == f"s3://catwalk {tmp_path}"

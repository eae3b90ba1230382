"""Which settings a client takes from a stack, and which it keeps from its caller."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catwalk.environment.former_names import tell
from catwalk.environment.parts import load_environment, part_url, public_url

CALLER = {
    "AWS_ACCESS_KEY_ID": "mine",
    "AWS_SESSION_TOKEN": "mine",
    "AWS_PROFILE": "mine",
    "AWS_ENDPOINT_URL_S3": "http://mine",
    "CATWALK_STATSD": "mine:1",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of a stack; the caller has settings for another S3."""
    tell.cache_clear()  # The caller's earlier warnings
    for name in [name for name in os.environ if name.startswith(("AWS_", "CATWALK_"))]:
        monkeypatch.delenv(name)
    for name, value in {**CALLER, "CATWALK_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("CATWALK_STORE", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")
    return tmp_path


def aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_") and value}


def test_keys_of_the_stack_come_without_the_callers_settings(home: Path) -> None:
    (home / "environment").write_text(
        "CATWALK_STORE=s3://catwalk\nAWS_ENDPOINT_URL_S3=http://127.0.0.1:7\nAWS_ACCESS_KEY_ID=ours\n"
        "AWS_SECRET_ACCESS_KEY=ours\nCATWALK_STATSD=ours:1\n"
    )
    load_environment()
    assert aws() == {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:7",
        "AWS_ACCESS_KEY_ID": "ours",
        "AWS_SECRET_ACCESS_KEY": "ours",
    }
    assert os.environ["CATWALK_STATSD"] == "mine:1"


def test_a_stack_without_credentials_uses_the_callers(home: Path) -> None:
    (home / "environment").write_text(
        "CATWALK_STORE=s3://catwalk\nAWS_ENDPOINT_URL_S3=https://s3.example.com\nAWS_ACCESS_KEY_ID=\n"
    )
    load_environment()
    assert os.environ["AWS_ENDPOINT_URL_S3"] == "https://s3.example.com"
    assert all(os.environ[name] == "mine" for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE"))


def test_a_store_that_the_caller_names_is_read_with_the_callers_settings(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "environment").write_text("CATWALK_STORE=s3://catwalk\nAWS_ACCESS_KEY_ID=ours\n")
    monkeypatch.setenv("CATWALK_STORE", "s3://mine")
    load_environment()
    assert aws() == {name: value for name, value in CALLER.items() if name.startswith("AWS_")}


def test_an_older_environment_file_is_read_under_the_current_names(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "environment").write_text("CATWALK_STORE=s3://catwalk\nCATWALK_REGISTRY_URL=http://127.0.0.1:29180\n")
    load_environment()
    assert part_url("exporter") == "http://127.0.0.1:29180"
    assert not caplog.text, "no one has to change that file"


def test_a_value_that_the_caller_sets_under_a_former_name_wins_over_the_stack(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "environment").write_text("CATWALK_STORE=s3://catwalk\nCATWALK_EXPORTER_URL=http://127.0.0.1:9180\n")
    monkeypatch.setenv("CATWALK_REGISTRY_URL", "http://127.0.0.1:29180")
    monkeypatch.setenv("CATWALK_REGISTRY_PUBLIC_URL", "https://catwalk.example")
    load_environment()
    assert (part_url("exporter"), public_url("exporter")) == ("http://127.0.0.1:29180", "https://catwalk.example")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told)) == 2, "one line each"
    assert told[0] == (
        "CATWALK_REGISTRY_URL is now called CATWALK_EXPORTER_URL; rename it in the environment, because only this "
        "release still reads the old name"
    )


def test_the_current_name_of_a_setting_wins_over_its_former_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CATWALK_PORT_REGISTRY", "1")
    monkeypatch.setenv("CATWALK_PORT_EXPORTER", "2")
    assert part_url("exporter") == "http://127.0.0.1:2"
    assert [record.getMessage() for record in caplog.records] == [
        "CATWALK_PORT_EXPORTER and CATWALK_PORT_REGISTRY differ in the environment; CATWALK_PORT_EXPORTER is used. "
        "Remove CATWALK_PORT_REGISTRY, its old name"
    ]

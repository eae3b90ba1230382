"""What a client takes up of a stack, and what of its caller's stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catwalk.environment.parts import load_environment

CALLER = {
    "AWS_ACCESS_KEY_ID": "mine",
    "AWS_SESSION_TOKEN": "mine",
    "AWS_PROFILE": "mine",
    "AWS_ENDPOINT_URL_S3": "http://mine",
    "CATWALK_STATSD": "mine:1",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of a stack; the caller has settings of another S3."""
    for name in os.environ:
        monkeypatch.setenv(name, os.environ[name])  # so that all comes back
    for name in [name for name in os.environ if name.startswith(("AWS_", "CATWALK_"))]:
        monkeypatch.delenv(name)
    for name, value in {**CALLER, "CATWALK_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("CATWALK_STORE", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")
    return tmp_path


def aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_") and value}


def test_keys_of_the_stack_come_without_anything_of_the_callers(home: Path) -> None:
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


def test_a_stack_that_leaves_credentials_to_be_found_finds_the_callers(home: Path) -> None:
    (home / "environment").write_text(
        "CATWALK_STORE=s3://catwalk\nAWS_ENDPOINT_URL_S3=https://s3.example.com\nAWS_ACCESS_KEY_ID=\n"
    )
    load_environment()
    assert os.environ["AWS_ENDPOINT_URL_S3"] == "https://s3.example.com"
    assert all(os.environ[name] == "mine" for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE"))


def test_a_store_that_the_caller_names_is_asked_with_the_callers_settings(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "environment").write_text("CATWALK_STORE=s3://catwalk\nAWS_ACCESS_KEY_ID=ours\n")
    monkeypatch.setenv("CATWALK_STORE", "s3://mine")
    load_environment()
    assert aws() == {name: value for name, value in CALLER.items() if name.startswith("AWS_")}

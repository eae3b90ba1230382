"""Secrets are generated once, and only their owner can read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from catwalk.environment import env_file
from stack.configuration import credentials
from stack.settings import StackError


def test_secrets_are_private_strong_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secrets.env"
    first = credentials.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(len(value) >= 18 for value in first.values())
    assert len(set(first.values())) == len(first)
    assert credentials.load_or_create(path) == first
    assert credentials.load_or_create(tmp_path / "other" / "secrets.env") != first


def test_a_secret_that_a_newer_version_needs_is_added_and_none_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    path.write_text("# mine\nAWS_ACCESS_KEY_ID=chosen=by me\n")
    assert credentials.load_or_create(path)["AWS_ACCESS_KEY_ID"] == "chosen=by me"
    assert env_file.read(path)["AWS_ACCESS_KEY_ID"] == "chosen=by me"
    assert path.read_text().startswith("# mine\nAWS_ACCESS_KEY_ID=chosen=by me\n")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["# of ada\n", "AWS_ACCESS_KEY_ID=\n# of ada", "\n\n# of ada\n\nAWS_REGION=x"])
def test_the_content_of_the_file_stays_as_it_was_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.env"
    path.write_text(text)
    known = credentials.load_or_create(path)
    assert path.read_text().startswith(text)
    assert env_file.read(path) == known
    assert known["AWS_ACCESS_KEY_ID"]
    assert credentials.load_or_create(path) == known


def test_an_empty_secret_is_a_missing_one(tmp_path: Path) -> None:
    """Grafana would replace an empty password with its own default."""
    path = tmp_path / "secrets.env"
    path.write_text("CATWALK_GRAFANA_PASSWORD=\n")
    assert len(credentials.load_or_create(path)["CATWALK_GRAFANA_PASSWORD"]) >= 18


def test_an_unusable_home_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="can't be used"):
        credentials.load_or_create(tmp_path / "file" / "secrets.env")

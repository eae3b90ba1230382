"""The files that protect Prometheus and Alertmanager with a password."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest
import yaml

from stack import web_config


def test_the_command_writes_a_hash_and_the_password_for_their_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATWALK_MONITORING_PASSWORD", "correct horse")
    assert web_config.main([str(tmp_path / "access")]) == 0
    web, password = tmp_path / "access" / "web.yml", tmp_path / "access" / "monitoring_password"
    assert password.read_text() == "correct horse"
    users = yaml.safe_load(web.read_text())["basic_auth_users"]
    assert users.keys() == {"catwalk"}
    assert bcrypt.checkpw(b"correct horse", users["catwalk"].encode())
    assert "correct horse" not in web.read_text()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "access").iterdir()} == {0o600}


@pytest.mark.parametrize("password", ["", " padded", "line\n", "é" * 37])
def test_an_impossible_password_is_one_line(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CATWALK_MONITORING_PASSWORD", password)
    assert web_config.main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "CATWALK_MONITORING_PASSWORD must have 1 to 72 bytes" in error
    assert list(tmp_path.iterdir()) == []

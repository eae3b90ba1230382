"""The `catwalk` command in this process, for tests of what it writes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from catwalk.cli.main import main
from catwalk.storage.store import Store


def unset_settings(patch: pytest.MonkeyPatch) -> None:
    """Removes the caller's settings, and a task's, from the environment."""
    for name in [name for name in os.environ if name.startswith(("CATWALK_", "AIRFLOW_CTX_"))]:
        patch.delenv(name)


@dataclass(frozen=True)
class Done:
    """What a command has written, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def catwalk(s3_store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs a command on the test's own store."""
    return command_line(capfd, monkeypatch, tmp_path)


def command_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What runs a command on whatever store the environment names."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path / "home"))
    if "CATWALK_PROMETHEUS_URL" not in os.environ:  # otherwise that of a stack that runs beside the tests
        monkeypatch.setenv("CATWALK_PROMETHEUS_URL", "http://127.0.0.1:1")

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        out, err = capfd.readouterr()
        return Done(int(stop.value.code or 0), out, err)

    return run

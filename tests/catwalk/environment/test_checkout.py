"""Where native commands are found, and where the library looks if it is not in a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from catwalk.environment import checkout
from catwalk.environment.parts import home


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return executable(tmp_path / "bin" / "promtool")


def test_this_is_a_checkout() -> None:
    assert checkout.FOLDER
    assert (checkout.FOLDER / "catwalk" / "environment" / "checkout.py").samefile(checkout.__file__)


def test_what_setup_has_built_takes_precedence_over_the_path(
    on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "FOLDER", tmp_path)
    assert checkout.built_tool("promtool") is None
    assert checkout.find_tool("promtool") == on_path
    built = executable(tmp_path / ".tools" / "prometheus-v1" / "promtool")
    assert checkout.built_tool("promtool") == checkout.find_tool("promtool") == built


def test_a_wheel_uses_the_path_and_works_in_the_current_folder(
    on_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "FOLDER", None)
    assert checkout.find_tool("promtool") == on_path
    assert checkout.find_tool("amtool") is None
    assert home({}) == Path(".catwalk")
    assert home({"CATWALK_HOME": str(tmp_path)}) == tmp_path

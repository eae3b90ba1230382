"""Stacks that test files share end with the last of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stack.settings import PROJECT

CONFTEST = """
import pytest
from tests.conftest import SharedStacks

def pytest_configure(config):
    config.pluginmanager.register(SharedStacks())

@pytest.fixture(scope="session")
def stack():
    yield
    print("the stack has ended")
"""


def test_a_stack_ends_with_the_last_test_that_shares_it_and_not_with_the_last_of_all(tmp_path: Path) -> None:
    """The second file's test says when it runs; the project's `conftest.py` lies below the root too."""
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "conftest.py").write_text(CONFTEST)
    (tmp_path / "below" / "test_first.py").write_text("def test_one(stack): pass\ndef test_two(stack): pass\n")
    (tmp_path / "below" / "test_second.py").write_text("def test_other(): print('another file')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--import-mode=importlib"]
    environment = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'monitoring'}", "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "another file" in done.stdout.partition("the stack has ended")[2], done.stdout
    assert done.stdout.count("the stack has ended") == 1


def test_the_project_registers_what_ends_them(request: pytest.FixtureRequest) -> None:
    """As a hook of `conftest.py`, it would never be called for them."""
    known = [hook.plugin for hook in request.session.ihook.pytest_fixture_setup.get_hookimpls()]
    assert "SharedStacks" in {type(plugin).__name__ for plugin in known}

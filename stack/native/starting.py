"""Starts the parts, each when it has what it needs, and waits until all of them answer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from stack import first_start
from stack.configuration.environment import client_environment, process_environment
from stack.native.supervisor import Supervisor
from stack.parts.part import Part
from stack.settings import Settings, StackError

START_SECONDS = 240.0
"""Airflow's cold start on two busy cores takes most of a minute."""

Say = Callable[[str], None]
"""Takes a line of progress."""


def start(settings: Settings, supervisor: Supervisor, wanted: list[Part], say: Say) -> None:
    """Starts the parts. The exporter needs its bucket, and Airflow its tables: both are created while the others start.

    Raises:
        StackError: a part does not become healthy, or Airflow's tables can't be created.
    """
    started = time.monotonic()
    for part in wanted:
        if part.name != "exporter" and not part.is_airflow:
            supervisor.start(part.name)
    tables = _Tables(settings, supervisor, [part.name for part in wanted if part.is_airflow])
    waiting = {part.name: part for part in wanted}
    while waiting:
        for name, part in list(waiting.items()):
            if supervisor.states().get(name) == "RUNNING" and part.healthy():
                del waiting[name]
                say(f"{name} is up ({time.monotonic() - started:.0f} s)")
                if name == "s3":
                    _create_bucket(settings)
        if "s3" not in waiting and any(part.name == "exporter" for part in wanted):
            supervisor.start("exporter")
        tables.proceed()
        if time.monotonic() - started > START_SECONDS:
            tables.give_up()
            raise _too_late(settings, next(iter(waiting)))
        time.sleep(0.2)


class _Tables:
    """Airflow's tables, and its parts, which start once the tables exist."""

    def __init__(self, settings: Settings, supervisor: Supervisor, parts: list[str]) -> None:
        self._settings, self._supervisor, self._parts = settings, supervisor, parts
        self._migration = _migrate(settings) if parts else None

    def proceed(self) -> None:
        """Starts Airflow's parts as soon as the tables exist.

        Raises:
            StackError: they can't be created.
        """
        if self._migration is None or self._migration.poll() is None:
            return
        if self._migration.returncode:
            log = self._settings.logs / "airflow-migrate.log"
            raise StackError(f"Airflow's database could not be set up; see {log}")
        self._migration = None
        for name in self._parts:
            self._supervisor.start(name)

    def give_up(self) -> None:
        """Ends the migration, if it is still running."""
        if self._migration:
            self._migration.kill()


def _too_late(settings: Settings, name: str) -> StackError:
    log = settings.logs / f"{name}.log"
    return StackError(f"{name} is not healthy after {START_SECONDS:.0f} s: {_last_line(log)} (see {log})")


def _migrate(settings: Settings) -> subprocess.Popen[bytes] | None:
    """Creates or upgrades Airflow's tables, unless the same version of Airflow has already done it here."""
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
        return  # local.env names an S3 elsewhere; we don't create its buckets
    if environment["CATWALK_STORE"].startswith("file:"):
        return  # the first write creates the folder
    bucket = environment["CATWALK_STORE"].removeprefix("s3://").partition("/")[0]
    first_start.create_bucket(bucket, environment)


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()] if path.exists() else []
    return lines[-1].strip()[:300] if lines else "its log is empty"

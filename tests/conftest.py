"""Real stacks for the integration tests: one for all files that share it, in a home and on ports of their own."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from catwalk.assets.drift_windows import USUAL, DriftWindows
from catwalk.clients import access
from catwalk.clients.airflow_api import AirflowApi
from catwalk.environment.caller import become_client
from catwalk.environment.proxies import without_proxy
from catwalk.ledger.runs import Ledger
from catwalk.storage.opening import open_store
from stack.configuration.environment import client_environment, process_environment
from stack.native import control
from stack.native.supervisor import Supervisor
from stack.parts.health import monitoring_password
from stack.ports import free_ports
from stack.settings import PROJECT, Settings
from tests.support.runs import draw_synthetic
from tests.support.servers import s3_server, s3_store, wait_until
from tests.support.traffic import small_champion

__all__ = ["s3_server", "s3_store", "small_champion", "wait_until"]
"""Fixtures and helpers that come from elsewhere."""
os.environ.update(without_proxy(os.environ, ()))  # the caller may have a proxy for the outside world
# Tests import some hundred modules in each of their workers, and start some hundred processes that import them too.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
LEAP_DAYS = "0 0 29 2 *"
QUIET = {"CATWALK_SCHEDULE": LEAP_DAYS, "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30"}
SERVICES = ["s3", "statsd_exporter", "prometheus", "alertmanager", "exporter", "courier"]
"""Everything but Airflow."""


CONTAINERS, WHOLE_STACK, SERVICES_ONLY = "containers", "whole stack", "services only"
SHARED = {
    "tests/containers/": CONTAINERS,
    "tests/integration/test_dag.py": WHOLE_STACK,
    "tests/integration/test_posture.py": WHOLE_STACK,
    "tests/integration/test_retraining.py": WHOLE_STACK,
    "tests/integration/test_retraining_couriers.py": WHOLE_STACK,
    "tests/stack/test_control.py": WHOLE_STACK,
    "tests/stack/test_compose_airflow.py": WHOLE_STACK,
    "tests/integration/test_telemetry.py": SERVICES_ONLY,
    "tests/grafana/test_queries.py": SERVICES_ONLY,
    "tests/grafana/test_transformations.py": SERVICES_ONLY,
    "tests/prometheus/test_live.py": SERVICES_ONLY,
    "tests/prometheus/test_lint.py": SERVICES_ONLY,
}
"""Files, or folders, whose tests share a session's stack: one worker runs them all, or each would start a stack."""
WORKER_MEMORY = 2 * 2**30
"""Bytes that a worker and the servers that its tests start need at most."""
SPREAD = {"tests/prometheus/test_mutations.py"}
"""Files with hundreds of tests that share nothing: workers take them one by one, once nothing longer is left."""


def shared_by(nodeid: str) -> str:
    """What tests run together for: their file, or the stack that it shares with others. Spread tests run alone."""
    file = nodeid.partition("::")[0]
    return nodeid if file in SPREAD else next((stack for of, stack in SHARED.items() if file.startswith(of)), file)


class Scheduling(LoadScopeScheduling):
    """Hands the workers of pytest-xdist whole files, or all files that share a stack."""

    def _split_scope(self, nodeid: str) -> str:
        return shared_by(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Six, or fewer in little memory. Two cores are busy all the time with that many, for stacks mostly wait."""
    return max(2, min(6, psutil.virtual_memory().available // WORKER_MEMORY))


def pytest_configure(config: pytest.Config) -> None:
    """Servers and promtool collect garbage a fifth as often: small as they are here, that is an eighth of the work."""
    os.environ.setdefault("GOGC", "400")
    config.pluginmanager.register(SharedStacks())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file that never names a marker that every selected test has isn't imported: to import all takes 8 seconds."""
    needed = _needed(config.option.markexpr)
    left_out = needed and collection_path.suffix == ".py" and not needed <= _marked(collection_path)
    return True if left_out else None


def _needed(expression: str) -> set[str]:
    """The markers that every test has that an expression such as `integration and not distributed` selects."""
    is_plain = not re.search(r"\(|\bor\b", expression)
    return {term for term in expression.split(" and ") if term.isidentifier()} if is_plain else set()


@cache
def _marked(file: Path) -> set[str]:
    """The markers that a file names."""
    return set(re.findall(r"\bmark\.(\w+)", file.read_text()))


LONG = (
    "integration/test_distributed",
    "prometheus/test_targets",
    "catwalk/bundle/test_servers",
    "stack/test_alarm_chain",
    "stack/test_late_start",
    "stack/test_operations",
    "models/test_foreign",
    "models/test_airflow2",
    "catwalk/bundle/test_stories",
    "prometheus/test_twins",
    "monitoring/exporter/test_browser",
    "prometheus/test_rules",
    "prometheus/test_lossy",
    "catwalk/cli/test_cli",
    "catwalk/telemetry/test_airflow_statsd",
)
"""Files that take minutes: started late, each of them would be the one that every worker waits for at the end.
First those that mostly wait, so that others can compute meanwhile.
"""
LONG_FILES = {PROJECT / "tests" / f"{name}.py": place for place, name in enumerate(LONG)}
"""File → its place among these."""
SPREAD_FILES = {PROJECT / name for name in SPREAD}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole stacks come first, that in containers before all: they take longest, and most of that is waiting. Then come
    other long files, what needs no server, and the spread tests last: each is short, so all workers end together."""
    for item in items:
        assert {mark.name for mark in item.iter_markers()} <= _marked(item.path), f"{item.nodeid} is marked elsewhere"
    items.sort(
        key=lambda item: (
            shared_by(item.nodeid) != CONTAINERS,
            not _needs_whole_stack(item),
            item.path in SPREAD_FILES,
            item.get_closest_marker("integration") is None,
            LONG_FILES.get(item.path, len(LONG)),
        )
    )


def _needs_whole_stack(item: pytest.Item) -> bool:
    return bool({"stack", "own_stack"} & set(getattr(item, "fixturenames", ())))


def pytest_collection_finish() -> None:
    """What collection has imported stays: looking through it for garbage over and over costs a tenth of all time."""
    gc.freeze()


@dataclass(frozen=True)
class RunningStack:
    """A stack that a test may look at and hurt."""

    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """For subprocesses that act as a user of this stack, such as ``catwalk run``."""
        return process_environment(self.settings)

    @property
    def ledger(self) -> Ledger:
        """Its runs; needs :meth:`as_environment` around it."""
        return Ledger(open_store())

    @contextmanager
    def as_environment(self) -> Iterator[None]:
        """Makes this process a client of the stack."""
        before = dict(os.environ)
        become_client(client_environment(self.settings))
        try:
            yield
        finally:
            restore_environment(before)

    @property
    def supervisor(self) -> Supervisor:
        """Its supervisor."""
        return Supervisor(self.settings)

    def process(self, part: str) -> psutil.Process:
        """The process of a part."""
        return psutil.Process(self.supervisor.processes()[part])

    def stop(self, part: str) -> None:
        """Stops a part until :meth:`start`."""
        self.supervisor.stop(part)

    def start(self, part: str) -> None:
        """Starts a part and waits until it is healthy."""
        control.up(self.settings, [part], say=lambda line: None)

    def prometheus(self, path: str) -> Any:
        """What Prometheus' HTTP API answers below ``/api/v1``."""
        url = f"{self.settings.url('prometheus')}/api/v1/{path}"
        return json.loads(access.fetch(url, timeout=30, password=monitoring_password(self.settings)))["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series."""
        result = self.prometheus(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def airflow(self, method: str, path: str, body: object = None) -> Any:
        """A request to Airflow's REST API below ``/api/v2``, as its administrator."""
        return self._airflow.request(method, path, body)

    @cached_property
    def _airflow(self) -> AirflowApi:
        """It logs in once: Airflow computes longer for that than for most answers."""
        password = client_environment(self.settings)["CATWALK_AIRFLOW_PASSWORD"]
        return AirflowApi(self.settings.url("airflow"), "admin", password)


@contextmanager
def running_stack(
    parts: list[str] | None,
    own_settings: dict[str, str] | None = None,
    interval: str = "1s",
    windows: DriftWindows = USUAL,
) -> Iterator[RunningStack]:
    """A stack that scrapes every second, or at `interval`, in its own home, which is removed when it ends.

    Its nightly runs are due on 29 February only: tests may run at any hour. DAG files are read again when they change,
    and every 30 s as with Airflow's own default, for that takes most of what an idle Airflow does.
    """
    home = Path(tempfile.mkdtemp(prefix="catwalk-test-"))
    settings = Settings(home, free_ports(), interval=interval, windows=windows)
    lines = [f"{name}={value}\n" for name, value in {**QUIET, **(own_settings or {})}.items()]
    (home / "local.env").write_text("".join(lines))
    draw_synthetic(home)
    try:
        control.up(settings, parts, say=lambda line: None)
        yield RunningStack(settings)
    finally:
        control.down(settings, say=lambda line: None)
        shutil.rmtree(home, ignore_errors=True)


def dag_folder(folder: Path, *others: str) -> Path:
    """A folder with the project's DAG files and others from `tests/integration`."""
    for path in (*(PROJECT / "dags").glob("*.py"), *(PROJECT / "tests" / "integration" / name for name in others)):
        shutil.copy(path, folder)
    return folder


class SharedStacks:
    """Ends a stack with the last test that shares it: idle, with Airflow, it takes a tenth of the machine.

    It is a plugin of its own: for a session's fixtures, pytest calls no hook of a `conftest.py` below the root.
    """

    def __init__(self) -> None:
        self._ends: list[Callable[[], None]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
        """Remembers how to end a stack."""
        if fixturedef.scope == "session" and fixturedef.argname in ("containers", "services", "stack"):
            self._ends.append(lambda: fixturedef.finish(request))  # type: ignore[arg-type]

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Ends the stacks if the next test shares none of them."""
        if nextitem is None or shared_by(nextitem.nodeid) != shared_by(item.nodeid):
            while self._ends:
                self._ends.pop()()


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test, or a command that it calls, changes in the environment is changed back: others would read it."""
    before = dict(os.environ)
    yield
    restore_environment(before)


def restore_environment(before: dict[str, str]) -> None:
    """Changes only what differs: a thread that reads another variable always finds it."""
    os.environ.update(before)
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


@pytest.fixture(scope="session")
def services() -> Iterator[RunningStack]:
    """S3, statsd_exporter, Prometheus, Alertmanager, the exporter and the courier."""
    with running_stack(SERVICES) as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Everything, Airflow included, with DAGs that wait for a champion, those of a second model and one whose tasks log
    by themselves, beside the project's own.

    A failed task is tried once more, after three seconds.
    """
    others = ("waiting_dag.py", "shapes_dags.py", "slow_dag.py", "depths_dag.py", "empty_dag.py")
    dags = dag_folder(tmp_path_factory.mktemp("dags"), *others)
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "CATWALK_TASK_RETRIES": "1",
        "CATWALK_RETRY_DELAY_SECONDS": "3",
        "CATWALK_SERVE_MODEL": "mlp-synthetic",
        "CATWALK_RETRAINING_SECONDS": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    }
    with running_stack(None, settings) as running:
        yield running

"""The wheel, installed without a checkout, torch, Airflow or any package that it does not require."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest

from catwalk.storage.store import Store
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT
from tests.support.ledgers import load_first_edition
from tests.support.servers import PATIENCE, wait_for_port, wait_until
from tests.support.wheels import Environment, build

pytestmark = pytest.mark.integration

FIRST, CHAMPION = "20261116T030000Z-8893fa15", "20261117T030000Z-9b3651a6"
DATA = (
    "grafana/json/*.json",
    "grafana/provisioning/dashboards/*.yml",
    "grafana/provisioning/datasources/*.yml",
    "prometheus/alertmanager/alertmanager.yml",
    "prometheus/alertmanager/*.tmpl",
    "prometheus/containers.md",
    "prometheus/prometheus.yml",
    "prometheus/rules/*.yml",
    "prometheus/runbooks/*.md",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def ledger(s3_store: Store) -> None:
    load_first_edition(s3_store)


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return str(answer.read().decode())


@contextmanager
def service(environment: Environment, module: str) -> Iterator[int]:
    """Starts a service of the wheel as users start it; yields its port."""
    port = free_port()
    command = [str(environment.program("python")), "-m", module, "--port", str(port)]
    process = subprocess.Popen(command, cwd=environment.folder, env=environment.variables())
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_it_holds_the_library_the_services_and_their_data(wheel: Path) -> None:
    names = [name for name in ZipFile(wheel).namelist() if not name.endswith("/")]
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"catwalk", "catwalk_courier", "catwalk_exporter", "catwalk_mlops-0.2.0.dist-info"}
    modules = {
        str(path.relative_to(PROJECT)).removeprefix("monitoring/")
        for folder in ("catwalk", "monitoring")
        for path in (PROJECT / folder).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    data = {str(path.relative_to(PROJECT)) for pattern in DATA for path in PROJECT.glob(pattern)}
    assets = "catwalk/assets/"
    carried = {name.removeprefix(assets) for name in names if name.startswith(assets) and not name.endswith(".py")}
    assert carried == data
    assert "catwalk/telemetry/statsd_mapping.yaml" in names


def test_without_extras_it_finds_its_data_and_programs_name_what_is_missing(wheel: Path, tmp_path: Path) -> None:
    bare = Environment.of(tmp_path / "bare", wheel)
    script = """
import catwalk, catwalk.ledger.runs, catwalk.storage.store, catwalk.telemetry.emitter
from catwalk import assets
from catwalk.environment import checkout
assert checkout.FOLDER is None
for name in ("rules/model.alerts.yml", "runbooks/TargetDown.md", "alertmanager/catwalk.tmpl"):
    assert assets.path(f"prometheus/{name}").is_file(), name
assert assets.path("grafana/json/catwalk-home.json").is_file()
"""
    done = bare.run("python", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    for extra, command in (
        ("cli", ["catwalk", "runs"]),
        ("exporter", ["python", "-m", "catwalk_exporter"]),
        ("courier", ["python", "-m", "catwalk_courier"]),
    ):
        done = bare.run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith(f" is not installed; run pip install 'catwalk-mlops[{extra}]'\n")
        assert done.stderr.count("\n") == 1


def test_the_command_reads_a_ledger(ledger: None, wheel: Path, tmp_path: Path) -> None:
    cli = Environment.of(tmp_path / "cli", wheel, "cli")
    left_out = "torch", "airflow", "scipy", "matplotlib"
    for module in left_out:
        assert f"No module named '{module}'" in cli.run("python", "-c", f"import {module}").stderr
    assert "compare" in cli.run("catwalk", "--help").stdout
    listed = cli.run("catwalk", "runs")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert FIRST in listed.stdout and CHAMPION in listed.stdout
    shown = cli.run("catwalk", "show", "champion", "--model", "mlp")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert CHAMPION in shown.stdout

    lacks = "matplotlib is not installed; run pip install 'catwalk-mlops[report]'"
    compared = cli.run("catwalk", "compare", FIRST, CHAMPION)
    assert "+9.60* (+4.65 to +14.55)" in compared.stdout
    assert (compared.returncode, compared.stderr) == (0, f"catwalk: no page was written: {lacks}\n")
    report = cli.run("catwalk", "report", CHAMPION)
    assert (report.returncode, report.stdout, report.stderr) == (1, "", f"catwalk: {lacks}\n")


def test_a_bundle_is_made_from_the_content_of_the_wheel(wheel: Path, tmp_path: Path) -> None:
    places = ["--exporter-url", "http://e", "--grafana-url", "http://g", "--runbooks-url", "http://r"]
    command = ["catwalk", "bundle", "--out", str(tmp_path / "bundle"), *places]
    lacking = Environment.of(tmp_path / "cli", wheel, "cli").run(*command)
    assert lacking.stderr == "catwalk: promql_parser is not installed; run pip install 'catwalk-mlops[bundle]'\n"
    assert (lacking.returncode, (tmp_path / "bundle").exists()) == (1, False)
    done = Environment.of(tmp_path / "guest", wheel, "cli", "bundle").run(*command)
    assert (done.returncode, done.stderr) == (0, "")
    for file in ("statsd/mapping.yaml", "prometheus/rules/model.alerts.yml", "grafana/dashboards/catwalk-home.json"):
        assert (tmp_path / "bundle" / file).is_file()


def test_with_the_extra_a_comparison_has_its_page(ledger: None, wheel: Path, tmp_path: Path) -> None:
    drawing = Environment.of(tmp_path / "drawing", wheel, "cli", "report")
    compared = drawing.run("catwalk", "compare", FIRST, CHAMPION)
    assert (compared.returncode, compared.stderr) == (0, "")
    written = drawing.folder / ".catwalk" / "comparison" / "report.html"
    assert CHAMPION in written.read_text()


def test_the_exporter_serves_a_ledger(ledger: None, wheel: Path, tmp_path: Path) -> None:
    with service(Environment.of(tmp_path / "exporter", wheel, "exporter"), "catwalk_exporter") as port:
        wait_until(lambda: get(f"http://127.0.0.1:{port}/healthz") is not None, "the exporter has read the ledger")
        wait_until(lambda: CHAMPION in page(port, "/"), "the runs on the page")
        wait_until(lambda: f'role="champion",run_id="{CHAMPION}"' in page(port, "/metrics"), "the champion's figures")
        assert page(port, "/healthz") == "ok\n"
        lacks = "matplotlib is not installed; run pip install &#x27;catwalk-mlops[report]&#x27;"
        wait_until(lambda: lacks in page(port, f"/runs/{CHAMPION}"), "what a report needs, on the page of a run")


def test_the_courier_serves_runbooks(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATWALK_MONITORING_PASSWORD", "password of tests")
    monkeypatch.setenv("CATWALK_HOME", str(tmp_path / "home"))
    with service(Environment.of(tmp_path / "courier", wheel, "courier"), "catwalk_courier") as port:
        assert page(port, "/healthz") == "ok\n"
        assert "catwalk_courier_stored_total" in page(port, "/metrics")
        assert "<h1>TargetDown</h1>" in page(port, "/runbooks/TargetDown")

"""The commands of docs/operations.md, executed: backup, loss, restore, new secrets, S3 elsewhere.

They run exactly as on the page, in a folder that looks like the project's, with a stack in its `.catwalk`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from catwalk.clients import access
from catwalk.clients.courier import told
from catwalk.environment import env_file
from catwalk.environment.addresses import port_variable
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.runs import Run
from catwalk.replay.points import run_points
from stack.configuration import credentials
from stack.configuration.environment import client_environment, process_environment
from stack.native import control
from stack.native.supervisor import Supervisor
from stack.parts.health import get, monitoring_password
from stack.parts.order import parts
from stack.ports import free_ports
from stack.settings import PROJECT, Settings
from tests.conftest import SERVICES, RunningStack
from tests.integration.conftest import assert_all_stored, small_run
from tests.stack.operations import blocks
from tests.support.servers import ENVIRONMENT, S3Server, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

MAKE = """#!/bin/sh -e
case $1 in
  up) exec {python} -m stack up --only {parts} ;;
  down) exec {python} -m stack down ;;
  *) echo "no $1 here" >&2; exit 2 ;;
esac
"""
"""In place of `make`, which would set up this folder first."""


@dataclass(frozen=True)
class Site:
    """A folder in which the page's commands run."""

    folder: Path
    settings: Settings
    parts: list[str]

    @property
    def stack(self) -> RunningStack:
        return RunningStack(self.settings)

    def type(self, script: str, **variables: str) -> str:
        """Runs a block of the page; returns its output."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CATWALK_"))},
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{PROJECT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "CATWALK_HOME": str(self.settings.home),
            "CATWALK_SCRAPE_INTERVAL": self.settings.interval,
            **{port_variable(name): str(port) for name, port in self.settings.ports.items()},
            **variables,
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def site_of(folder: Path, names: list[str]) -> Site:
    """A folder with `.venv`, `.tools` and a `.catwalk` that has not been started yet."""
    (folder / "bin").mkdir()
    make = folder / "bin" / "make"
    make.write_text(MAKE.format(python=sys.executable, parts=",".join(names)))
    make.chmod(0o755)
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(PROJECT / name)
    return Site(folder, Settings(folder / ".catwalk", free_ports(), "1s"), names)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Everything except Airflow, running."""
    folder = Path(tempfile.mkdtemp(prefix="catwalk-test-"))
    site = site_of(folder, SERVICES)
    try:
        control.up(site.settings, SERVICES, say=lambda line: None)
        yield site
    finally:
        control.down(site.settings, say=lambda line: None)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def run(site: Site) -> Run:
    """A promoted run, with all its points in Prometheus."""
    with site.stack.as_environment():
        run = small_run(site.stack)
        assert_all_stored(site.stack, run)
        assert Champions(site.stack.ledger.store).models() == [run.record.model]
    return run


def facts(site: Site) -> tuple[Any, str]:
    """Returns what users see in the ledger: every run, and the verified sha256 of the champion."""
    listed = json.loads(site.type("catwalk runs --json"))
    return listed, str(json.loads(site.type("catwalk fetch --force --json"))["sha256"])


def test_commands_that_use_the_password(site: Site) -> None:
    [block] = blocks("Who gets in", "sh")
    wait_until(lambda: site.stack.query("count(up) == 5"), "every target is known")
    printed = site.type(block)
    assert '"status":"success"' in printed
    assert "{} => 5" in printed
    assert "Alertname" in printed


def test_an_archive_restores_everything(site: Site, run: Run) -> None:
    archive, restore = blocks("Back up and restore natively", "sh")
    before = facts(site)
    notifications = told(site.settings.url("courier"), 1_000)["notifications"]
    site.type(archive)
    packed = site.folder / "catwalk-backup.tar.gz"
    assert packed.stat().st_mode & 0o077 == 0
    with site.stack.as_environment():
        site.stack.ledger.store.delete(f"champions/{run.record.model}.json")
    printed = site.type(restore)
    assert run.run_id in printed
    assert facts(site) == before
    assert (site.settings.home / "secrets.env").stat().st_mode & 0o777 == 0o600
    with site.stack.as_environment():
        assert_all_stored(site.stack, run)
    kept = {
        (entry["fingerprint"], entry["status"]) for entry in told(site.settings.url("courier"), 1_000)["notifications"]
    }
    assert {(entry["fingerprint"], entry["status"]) for entry in notifications} <= kept


def test_copies_made_while_it_runs_are_consistent(site: Site, run: Run) -> None:
    *_, databases, blocks_of_prometheus = blocks("Back up while it runs", "sh")
    wait_until(lambda: told(site.settings.url("courier"), 10)["notifications"], "something to notify")
    old = run.run_id
    with site.stack.as_environment():
        data = site.settings.home / "prometheus" / "data"
        site.type(f"catwalk replay {old} --out {data}")  # writes a block before two hours have passed
    site.type(databases)
    site.type(blocks_of_prometheus)
    copied = sqlite3.connect(site.folder / "backup" / "courier.db")
    try:
        assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copied.execute("SELECT count(*) FROM notifications").fetchone()[0] > 0
    finally:
        copied.close()
    copies = list((site.folder / "backup" / "prometheus").iterdir())
    assert copies
    for copy in copies:
        assert not subprocess.run(
            ["diff", "-r", str(copy), str(data / copy.name)], capture_output=True, check=False
        ).stdout


@pytest.mark.skipif(not shutil.which("aws"), reason="the AWS CLI is not on the PATH")
def test_the_ledger_is_copied_and_brought_back_by_s3(site: Site, run: Run) -> None:
    copy, back = blocks("Back up while it runs", "sh")[:2]
    before = facts(site)
    site.type(copy)
    with site.stack.as_environment():
        store = site.stack.ledger.store
        for entry in store.list(""):
            store.delete(entry.key)
        assert Champions(site.stack.ledger.store).models() == []
    site.type(back)
    assert facts(site) == before


def test_prometheus_comes_back_from_the_ledger_and_new_secrets_hold(site: Site, run: Run) -> None:
    """Both stop the stack; together they stop it once less."""
    [rebuild], [rotate] = blocks("Prometheus from the ledger", "sh"), blocks("Secrets", "sh")
    before, old = facts(site), credentials.load_or_create(site.settings.home / "secrets.env")
    stop, change, start = rotate.splitlines()
    assert (stop, start) == ("make down", "make up")
    gone, rest = rebuild.split("make up\n")
    site.type(gone + change + "\n" + start + "\n" + rest)

    new = credentials.load_or_create(site.settings.home / "secrets.env")
    changed = {"CATWALK_MONITORING_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert {name for name in new if new[name] != old[name]} == changed
    assert (site.settings.home / "secrets.env").stat().st_mode & 0o777 == 0o600
    states = Supervisor(site.settings).states()
    for name in SERVICES:
        assert states[name] == "RUNNING"
        assert parts(site.settings)[name].healthy(), name
    for part in ("prometheus", "alertmanager"):
        url = f"{site.settings.url(part)}/-/ready"
        assert get(url, password=old[access.PASSWORD_VARIABLE]) is None
        assert get(url, password=new[access.PASSWORD_VARIABLE]) is not None
    client = boto3.session.Session(
        old["AWS_ACCESS_KEY_ID"], old["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
    ).client("s3", endpoint_url=site.settings.url("s3"))
    with pytest.raises(client.exceptions.ClientError):
        client.list_objects_v2(Bucket="catwalk")
    assert facts(site) == before, "objects that were written with the old keys are there"
    with site.stack.as_environment():
        restored = site.stack.ledger.run(run.run_id)  # read with the new keys
        assert assert_all_stored(site.stack, restored) == len(run_points(restored))
        wait_until(lambda: site.stack.query("sum(up) == 5"), "every target lets Prometheus in")
        wait_until(
            lambda: told(site.settings.url("courier"), 1)["deadman"]["state"] == "well",
            "the courier lets Alertmanager in",
        )


def test_a_password_that_changes_while_it_runs_takes_effect_with_the_next_up(site: Site) -> None:
    """`make up` on a running stack must not lock out what runs."""
    path = site.settings.home / "secrets.env"
    kept = env_file.read(path)
    credentials.write_private(path, {**kept, access.PASSWORD_VARIABLE: "tomorrow"})
    try:
        control.up(site.settings, SERVICES, say=lambda line: None)
        assert monitoring_password(site.settings) == "tomorrow"
        assert parts(site.settings)["prometheus"].healthy()
        assert parts(site.settings)["alertmanager"].healthy()
    finally:
        credentials.write_private(path, kept)
        control.up(site.settings, SERVICES, say=lambda line: None)


def test_an_s3_elsewhere_holds_the_ledger(tmp_path_factory: pytest.TempPathFactory) -> None:
    [block] = blocks("S3 at AWS, or elsewhere", "sh")
    elsewhere = S3Server(tmp_path_factory.mktemp("elsewhere"))
    elsewhere.start()
    site = site_of(Path(tempfile.mkdtemp(prefix="catwalk-test-")), ["s3", "exporter"])
    try:
        boto3.session.Session(
            ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
        ).client("s3", endpoint_url=elsewhere.url).create_bucket(Bucket="your-bucket")
        site.settings.home.mkdir()
        script = block.replace("https://s3.eu-central-1.amazonaws.com", elsewhere.url)
        site.type(
            script,
            YOUR_KEY=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            YOUR_SECRET=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        )
        assert client_environment(site.settings)["CATWALK_STORE"] == "s3://your-bucket/catwalk"
        url = f"{site.settings.url('exporter')}/metrics"
        wait_until(lambda: b"catwalk_store_up 1" in (get(url) or b""), "the exporter reads the S3 elsewhere")
        assert process_environment(site.settings)["AWS_ENDPOINT_URL_S3"] == elsewhere.url
    finally:
        control.down(site.settings, say=lambda line: None)
        shutil.rmtree(site.folder, ignore_errors=True)
        elsewhere.stop()

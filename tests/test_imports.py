"""Each import contract refuses what it exists to refuse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from stack.settings import PROJECT

WRONG = {
    "Models and services use the library": ("catwalk/report/build.py", "ml.fashion_mnist"),
    "Only the demo of the stack knows a model": ("stack/settings.py", "ml.fashion_mnist"),
    "The stack's commands use what starts and configures it": ("stack/web_config.py", "stack.native.control"),
    "Data takes one path through the library": ("catwalk/knobs.py", "catwalk.trainable"),
    "Problems are compared by paired losses": ("catwalk/problems/paired/pairing.py", "catwalk.problems.interface"),
    "A stage knows no other stage": ("catwalk/stages/test.py", "catwalk.stages.train"),
    "A logging run is opened, held and closed": ("catwalk/tracking/arguments/keys.py", "catwalk.tracking.journal"),
    "The arguments of a run are checked one by one": (
        "catwalk/tracking/arguments/settings.py",
        "catwalk.tracking.arguments.dataset",
    ),
    "A model depends on runs, and a run on records": (
        "catwalk/ledger/runs.py",
        "catwalk.ledger.models.champion",
    ),
    "A service counts with its model's reference": ("catwalk/service/shift.py", "catwalk.service.counts"),
    "A server answers with the version that it holds": ("catwalk/serving/inputs.py", "catwalk.serving.holder"),
    "A metric becomes a point, and a point a line": ("catwalk/telemetry/points.py", "catwalk.telemetry.emitter"),
    "Telemetry is given records and reads no ledger": ("catwalk/telemetry/observer.py", "catwalk.ledger.runs"),
    "The courier stores before it delivers": (
        "monitoring/catwalk_courier/journal/store.py",
        "catwalk_courier.delivery.channel",
    ),
    "Dashboards know only the names of records and metrics": ("grafana/words.py", "catwalk.web.palette"),
}
"""Contract → a module, and what it must not import."""


def lint(folder: Path) -> str:
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": "monitoring:."}
    done = subprocess.run([program, "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_a_wrong_import_breaks_the_contract_that_forbids_it(tmp_path: Path) -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract["name"] for contract in settings["contracts"]} == set(WRONG)
    for folder in ("catwalk", "grafana", "ml", "monitoring", "stack"):
        shutil.copytree(
            PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    for path, wrong in WRONG.values():
        with (tmp_path / path).open("a") as file:
            file.write(f"\nimport {wrong}\n")
    (tmp_path / "catwalk" / "homeless.py").touch()
    found = lint(tmp_path)
    assert set(re.findall(r"^(.+) BROKEN", found, re.MULTILINE)) == set(WRONG), found
    for path, wrong in WRONG.values():
        importer = path.removeprefix("monitoring/").removesuffix(".py").replace("/", ".")
        assert re.search(rf"^-? *{re.escape(importer)} -> {re.escape(wrong)}\b", found, re.MULTILINE), (importer, found)
    assert "homeless" in found, "a module that has no layer"

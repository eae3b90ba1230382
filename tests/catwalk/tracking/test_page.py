"""The page about your own model, followed literally, by a user who has the wheel and an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack.settings import PROJECT
from tests.support.wheels import Environment, build

pytestmark = pytest.mark.integration

PAGE = (PROJECT / "docs" / "your-own-model.md").read_text()
MODEL = PROJECT / "tests" / "models" / "churn"
INSTALL = ["python3 -m venv .venv", ". .venv/bin/activate", 'pip install "CHECKOUT[cli]" scikit-learn']
BARE = {"PATH": "/usr/bin:/bin", "COLUMNS": "120"}
"""The variables that cron gives its programs, and the width of a terminal."""


def blocks(kind: str) -> list[str]:
    """Returns the page's blocks of this kind, in order."""
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def with_catwalk(script: str) -> str:
    """Returns the script with the page's lines in it."""
    [imports], [main] = blocks("python imports"), blocks("python main")
    standard, own = imports.split("\n\n")
    script = script.replace("import argparse\n", f"import argparse\n{standard}\n", 1)
    script = script.replace("\n\nCOUNTRIES", f"\n\n{own}\nCOUNTRIES", 1)
    before, _, rest = script.partition("def main(")
    return f"{before}{main.rstrip()}\n\n\nif __name__{rest.partition('if __name__')[2]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with what the page's first block installs; nothing is downloaded."""
    assert blocks("sh install") == ["\n".join(INSTALL) + "\n"]
    made = tmp_path_factory.mktemp("newcomer")
    environment = Environment.of(made / ".venv", build(tmp_path_factory.mktemp("wheel")), "cli")
    environment.add("scikit-learn")
    return made


def shell(folder: Path, script: str) -> str:
    """Returns what a shell prints that stops at the first failure."""
    command = ["/bin/sh", "-ec", script]
    done = subprocess.run(command, cwd=folder, env={**BARE, "HOME": str(folder)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_s_model_is_the_foreign_one() -> None:
    [plain] = blocks("python churn.py")
    assert plain == (MODEL / "plain.py").read_text()
    assert with_catwalk(plain) == (MODEL / "tracked.py").read_text()


def test_a_newcomer_gets_what_the_page_promises(folder: Path) -> None:
    [plain] = blocks("python churn.py")
    (folder / "churn.py").write_text(plain)
    activated = f"{INSTALL[1]}\n"
    assert "customers to learn from" in shell(folder, f"{activated}python churn.py")
    (folder / "churn.py").write_text(with_catwalk(plain))
    out = shell(folder, activated + "".join(blocks("sh")))
    [promised] = re.findall(r"^```\n(Ship.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    ship, better = promised.splitlines()
    assert ship in out.splitlines() and better in out.splitlines()
    listed, shown = out[out.index("Hold: worse") :].split("\nrun ")[1:]
    assert [word in listed for word in ("ship first", "ship better", "hold worse")] == [True] * 3
    assert "test log loss 0.1132 nats" in shown and "Germany" in shown

    [line] = blocks("cron")
    nightly = line.split(maxsplit=5)[5].replace("FOLDER", str(folder)).replace(r"\%", "%")
    assert "Hold: no better" in shell(folder, nightly)
    assert shell(folder, f"{activated}CATWALK_STORE=file://$PWD/ledger catwalk runs").count("schedule") == 4


def test_the_page_s_dag_is_one(folder: Path) -> None:
    """This uses the Airflow of this environment; tests/models/test_airflow2.py runs it in an older one."""
    [dag] = blocks("python dag")
    (folder / "nightly.py").write_text(dag.replace("FOLDER", str(folder)).replace("\nchurn()\n", "\nfound = churn()\n"))
    says = "from nightly import found; print(found.dag_id, [(task.task_id, task.retries) for task in found.tasks])"
    done = subprocess.run(
        [sys.executable, "-c", says],
        cwd=folder,
        env={**BARE, "HOME": str(folder), "AIRFLOW_HOME": str(folder / "airflow")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1:] == ["churn [('train', 2)]"], done.stderr

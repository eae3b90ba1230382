"""The page on a model of one's own, tried as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from stack.settings import PROJECT

PAGE = (PROJECT / "docs" / "your-own-model.md").read_text()


def blocks(language: str) -> list[str]:
    """The page's blocks of this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_page_says_what_happens(tmp_path: Path) -> None:
    [script] = blocks("python")
    (tmp_path / "churn.py").write_text(script)
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    environment = {"PATH": programs, "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT), "COLUMNS": "120"}
    said = []
    for line in commands:
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        said.append(done.stdout)
    [promised] = re.findall(r"^```\n(Ship.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    trained, (listed, shown) = said[:3], said[3:]
    for line, promise in zip(trained, promised.splitlines(), strict=True):
        assert line.startswith(promise.removesuffix("…"))
    assert all(decision in listed for decision in ("ship first", "ship better", "hold worse"))
    assert "log loss 0.28636" in shown and "country" in shown

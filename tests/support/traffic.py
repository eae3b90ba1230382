"""A champion for `catwalk traffic` to ask, and the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stack.settings import PROJECT
from tests.support.commands import unset_settings
from tests.support.small import SMALL


def command(*arguments: str) -> subprocess.Popen[str]:
    """`catwalk`, which has just begun."""
    return subprocess.Popen(
        [sys.executable, "-m", "catwalk", *arguments],
        cwd=PROJECT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def small_champion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ledger with a small one, which the environment points to; its model's name."""
    with pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        patch.setenv("CATWALK_STORE", tmp_path_factory.mktemp("ledger").as_uri())
        patch.setenv("CATWALK_HOME", str(tmp_path_factory.mktemp("home")))
        settings = [text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        training = command("run", "ml.fashion_mnist:CLASSIFIER", *settings)
        out, err = training.communicate(timeout=300)
        assert training.returncode == 0, out + err
        yield "mlp-synthetic"

"""The stack of the closed loop leaves others alone; ``tests/integration/test_closed_loop.py`` has one that runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from stack.closed_loop import Case, own_stack
from stack.settings import StackError

NONE = np.zeros((0, 28, 28), dtype=np.uint8)


def test_a_loop_that_cannot_start_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CATWALK_STORE", "s3://another")
    nameless = Case("package.module:NAME", "", {}, {}, NONE, NONE, "nothing changes")
    with pytest.raises(StackError, match="there is no part 'serve'"), own_stack(nameless):
        pass
    assert os.environ["CATWALK_STORE"] == "s3://another"
    assert not list(tmp_path.iterdir())

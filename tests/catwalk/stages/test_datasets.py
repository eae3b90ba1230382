"""What a Trainable says about its data is checked before any of it is stored."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catwalk.errors import DatasetError
from catwalk.stages.artifacts.datasets import SPLITS, store_data
from catwalk.storage.file_store import FileStore
from catwalk.trainable import Data


def data(as_of: Any) -> Data:
    split = {"labels": np.array([0, 1]), "x": np.zeros((2, 3), dtype=np.float32)}
    return Data(splits=dict.fromkeys(SPLITS, split), as_of=as_of)


@pytest.mark.parametrize("as_of", ["yesterday", "2026-13-01", date(2026, 11, 25), None])
def test_an_invalid_day_is_refused_in_one_line_and_nothing_is_stored(as_of: Any, tmp_path: Path) -> None:
    """Otherwise, the gate would fail on it, in every later run too."""
    store = FileStore((tmp_path / "ledger").as_uri())
    with pytest.raises(DatasetError, match=r"^as_of must be a date or time as text, such as '2026-11-25', not .+$"):
        store_data(store, data(as_of), ["a", "b"], synthetic=True)
    assert not (tmp_path / "ledger").exists()
    for good in ("", "2026-11-25", "2026-11-25T03:00:00+01:00"):
        assert store_data(store, data(good), ["a", "b"], synthetic=True).as_of == good

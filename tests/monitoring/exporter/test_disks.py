"""Which file systems are watched, and how full they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from catwalk.errors import ConfigError
from catwalk_exporter.disks import disk_folders, disks


def test_folders_come_from_the_environment() -> None:
    assert disk_folders({"CATWALK_DISKS": "store=/data/s3, prometheus=/var"}) == {
        "store": Path("/data/s3"),
        "prometheus": Path("/var"),
    }
    assert disk_folders({}) == {}


@pytest.mark.parametrize("text", ["store", "store=", "=/data", "store=/data,oops"])
def test_an_invalid_list_of_folders_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="CATWALK_DISKS must be"):
        disk_folders({"CATWALK_DISKS": text})


def test_a_missing_folder_is_left_out(tmp_path: Path) -> None:
    found = disks({"here": tmp_path, "gone": tmp_path / "gone"})
    assert list(found) == ["here"]
    assert 0 <= found["here"].free <= found["here"].size

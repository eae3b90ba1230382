"""How many CPUs a process may use: those of the machine, limited by its affinity and its cgroups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from catwalk.environment.cpus import usable_cpus

V1 = "cpu"
"""Controllers that share a folder have one link each, by their own names."""


def machine(root: Path, own: str, **files: str) -> Path:
    """A root folder in which `own` is the cgroup of this process; files by path below ``/sys/fs/cgroup``."""
    every = {"proc/self/cgroup": own, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}
    for path, text in every.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gives this process sixteen CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        pytest.param("0::/\n", {}, 16, id="no limit"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, 16, id="no limit, said"),
        pytest.param("0::/\n", {"cpu.max": "300000 100000\n"}, 3, id="a container"),
        pytest.param("0::/\n", {"cpu.max": "350000 100000\n"}, 3, id="rounded down"),
        pytest.param("0::/\n", {"cpu.max": "50000 100000\n"}, 1, id="less than one"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000"}, 4, id="an outer one"),
        pytest.param("0::/a/b\n", {"cpu.max": "200000 100000"}, 2, id="seen from within"),
        pytest.param(
            "4:memory:/x\n3:cpuacct,cpu:/x\n",
            {f"{V1}/x/cpu.cfs_quota_us": "500000\n", f"{V1}/x/cpu.cfs_period_us": "100000\n"},
            5,
            id="version 1",
        ),
        pytest.param(
            "3:cpu,cpuacct:/x\n",
            {f"{V1}/x/cpu.cfs_quota_us": "-1\n", f"{V1}/x/cpu.cfs_period_us": "100000\n"},
            16,
            id="version 1 without a limit",
        ),
        pytest.param("0::/\n", {"cpu.max": "9900000 100000"}, 16, id="more than there are"),
        pytest.param("0::/\n", {"cpu.max": "nonsense"}, 16, id="nonsense"),
    ],
)
@pytest.mark.usefixtures("sixteen")
def test_a_quota_is_kept_to(own: str, files: dict[str, str], expected: int, tmp_path: Path) -> None:
    assert usable_cpus(machine(tmp_path, own, **files)) == expected


@pytest.mark.usefixtures("sixteen")
def test_a_system_without_cgroups_has_its_affinity(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == 16


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system sets no affinity")
def test_a_process_kept_on_one_cpu_uses_one() -> None:
    pinned = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
    program = f"{pinned}; from catwalk.environment.cpus import usable_cpus; print(usable_cpus())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_no_process_has_more_than_its_affinity() -> None:
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    assert 1 <= usable_cpus() <= len(allowed)

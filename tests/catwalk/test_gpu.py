"""What stages report about the GPUs that they use: nothing if there is none. Tests on a GPU skip without one.

On a machine that has only PyTorch, numpy, nvidia-ml-py, statsd and pytest::

    python3 -m pytest -c /dev/null --rootdir . --noconftest -rs -s tests/catwalk/test_gpu.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import catwalk
from catwalk import gpu
from catwalk.gpu import GpuUse, GpuWatch
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.ledger.runs import Ledger
from catwalk.storage.opening import open_store
from catwalk.telemetry import catalogue
from catwalk.telemetry.points import stage_points

MIB = 2**20
on_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: what a GPU reports is not tested here")


def attempt_of(work: Callable[[], object], folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, AttemptRecord]:
    """The run and its one attempt, of a program that does this work."""
    for name in ("CATWALK_STATSD", "CATWALK_RUN_KEY", "CATWALK_SHIP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CATWALK_STORE", folder.as_uri())
    with catwalk.run("mlp", catwalk.Binary()) as run:
        work()
        run.epoch(1, train={"loss": 0.5})
    found = Ledger(open_store()).run(run.run_id)
    (attempt,) = found.attempts()
    return found, attempt


def until(seconds: float, work: Callable[[], object]) -> None:
    """Repeats this work for this long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        work()
        torch.cuda.synchronize()


def multiply() -> None:
    matrix = torch.ones(8_192, 8_192, device="cuda")
    matrix @ matrix


def capture() -> None:
    """Works as a captured training step does; another thread that calls CUDA at that time would break it."""
    matrix, graph = torch.ones(512, 512, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        matrix @ matrix
    graph.replay()


def test_a_run_that_uses_no_gpu_reports_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_peaks", dict)  # whatever another test here has used
    run, attempt = attempt_of(lambda: None, tmp_path, monkeypatch)
    assert (attempt.gpu_peak_memory_bytes, attempt.gpu_utilisation_ratio) == (None, None)
    assert not attempt.has_used_gpu
    assert not [point for point in stage_points(run.record, attempt) if "gpu" in point.metric.name]


def test_only_the_gpus_in_use_count(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {0: (300, 80), 1: (0, 90), 2: (100, 40)}
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: len(cards),
        max_memory_reserved=lambda card: cards[card][0],
        utilization=lambda card: cards[card][1],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert GpuWatch().stop() == GpuUse(400, pytest.approx(0.6))
    cuda.utilization = lambda card: 1 / 0  # no nvidia-ml-py, or no permission to query it
    assert GpuWatch().stop() == GpuUse(400, None)
    cuda.is_initialized = lambda: False
    assert GpuWatch().stop() == GpuUse()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())  # it is being imported
    assert GpuWatch().stop() == GpuUse()


@on_a_card
def test_a_run_on_a_gpu_reports_its_memory_and_how_busy_the_gpu_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pynvml")
    run, attempt = attempt_of(lambda: until(5 * gpu.SAMPLE_SECONDS, multiply), tmp_path, monkeypatch)
    assert attempt.gpu_peak_memory_bytes == torch.cuda.max_memory_reserved() >= 512 * MIB
    assert attempt.gpu_utilisation_ratio is not None and 0.3 < attempt.gpu_utilisation_ratio <= 1
    shown = {point.metric: point.value for point in stage_points(run.record, attempt)}
    assert shown[catalogue.STAGE_GPU_PEAK_MEMORY] == attempt.gpu_peak_memory_bytes
    assert shown[catalogue.STAGE_GPU_UTILISATION] == attempt.gpu_utilisation_ratio
    print(f"\n{torch.cuda.get_device_name()}: {shown}")


@on_a_card
def test_looking_at_a_gpu_disturbs_no_graph_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SAMPLE_SECONDS", 0.001)
    watch = GpuWatch()
    until(3.0, capture)
    assert watch.stop().peak_memory_bytes


@on_a_card
def test_importing_torch_beside_a_gpu_uses_none() -> None:
    program = "import torch; from catwalk.gpu import GpuWatch, GpuUse; assert GpuWatch().stop() == GpuUse()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=500)

"""What an attempt of a stage cost, in the terminal and in the report."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from catwalk.cli.tables.output import run_facts
from catwalk.ledger.records.attempt import AttemptRecord
from catwalk.report import run_sections
from tests.support.ledgers import summary

ON_CPU = AttemptRecord("ingest", 1, 0.0, "here", 1, 60.0, "succeeded", "", 50.0, 300 * 2**20)
ON_GPU = replace(ON_CPU, stage="train", gpu_peak_memory_bytes=12_288 * 2**20, gpu_utilisation_ratio=0.925)
UNWATCHED = replace(ON_GPU, gpu_utilisation_ratio=None)


def in_terminal(attempts: list[AttemptRecord]) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(run_facts(summary(), None, None, attempts, time.time(), 600))
    return console.export_text()


def in_report(attempts: list[AttemptRecord]) -> str:
    facts: Any = SimpleNamespace(attempts=SimpleNamespace(get=lambda: attempts), summary=summary())
    return str(run_sections._attempts(facts))


@pytest.mark.parametrize(("shown", "use", "dash"), [(in_terminal, "92%", "-"), (in_report, "92.50%", "–")])
def test_gpus_have_columns_only_if_one_was_used(shown: Any, use: str, dash: str) -> None:
    assert "GPU" not in shown([ON_CPU])
    both = shown([ON_CPU, ON_GPU])
    assert all(text in both for text in ("GPU memory", "GPU use", "12,288 MiB", use, "300 MiB"))
    assert "0 MiB" not in both.replace("300 MiB", ""), "an attempt that used none has no figure"
    alone = shown([UNWATCHED])
    assert "12,288 MiB" in alone and dash in alone and "%" not in alone.partition("GPU use")[2].partition("\n\n")[0]

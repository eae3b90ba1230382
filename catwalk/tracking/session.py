"""The state of a run that writes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from catwalk.ledger.attempts import Begun
from catwalk.ledger.records.decision import DecisionRecord
from catwalk.ledger.runs import Run
from catwalk.problems.interface import Problem
from catwalk.telemetry.observer import Observer
from catwalk.tracking.journal import Journal


@dataclass
class Session:
    """A run that is open in this process."""

    run: Run
    problem: Problem
    observer: Observer
    begun: Begun
    journal: Journal
    close_seconds: float
    release: Callable[[], None]
    pid: int = field(default_factory=os.getpid)
    logged: dict[str, dict[str, float]] = field(default_factory=dict)
    """Split → metric → value, waiting for the end of the epoch; read and changed under `lock`."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    epoch_started: float = field(default_factory=time.perf_counter)
    tested: bool = False
    unnamed: bool = False
    """Whether the test was stored before this attempt had a model: then the next model is the one that was tested."""
    decision: DecisionRecord | None = None
    closed: bool = False

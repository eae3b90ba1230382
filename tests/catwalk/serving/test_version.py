"""A loaded version of a model."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from catwalk.errors import ArtifactError
from catwalk.ledger.runs import Run
from catwalk.serving import version as versioning
from catwalk.serving.holder import Holder, log
from catwalk.serving.version import candidate
from tests.models.shapes import SHAPES
from tests.support.servers import PATIENCE


class Together:
    """A predictor that counts the threads that are in it at the same time."""

    def __init__(self, meeting: threading.Barrier | None = None) -> None:
        self.now, self.most, self._meeting = 0, 0, meeting

    def __call__(self, inputs: Any) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        if self._meeting:
            self._meeting.wait(PATIENCE)
        time.sleep(0.01)
        self.now -= 1
        return np.zeros((len(inputs["pixels"]), 3), np.float32)


INPUTS = {"pixels": np.zeros((1, 8, 8), np.uint8)}


def test_a_predictor_is_asked_by_one_thread_at_a_time(versions: list[Run]) -> None:
    """Also after its reference was swapped."""
    predict = Together()
    version = replace(candidate(versions[0]), predict=predict)
    both = [version, replace(version, loaded=0.0)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: both[number % 2].probabilities(INPUTS), range(20)))
    assert predict.most == 1


def test_a_thread_safe_predictor_is_asked_by_several_threads_at_a_time(
    versions: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call waits for the other: if they took turns, none would end."""
    monkeypatch.setattr(SHAPES, "thread_safe", True, raising=False)
    predict = Together(threading.Barrier(2))
    version = replace(candidate(versions[0]), predict=predict)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: version.probabilities(INPUTS), range(2)))
    assert predict.most == 2


def test_whoever_reads_of_a_refusal_finds_its_reason(versions: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder(versions[0].store, "shapes", CollectorRegistry())
    seen: list[str] = []
    monkeypatch.setattr(versioning, "champion", Mock(side_effect=ArtifactError("damaged")))
    monkeypatch.setattr(log, "warning", lambda *_: seen.append(holder.series.refused))
    holder.look()
    assert seen == [""], "the refusal is not shown before its reason is known"
    assert holder.series.refused == versions[0].run_id and "damaged" in holder.trouble

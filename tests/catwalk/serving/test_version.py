"""A loaded version of a model."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from catwalk.ledger.runs import Run
from catwalk.serving.version import candidate


def test_a_predictor_is_asked_by_one_thread_at_a_time(versions: list[Run]) -> None:
    """Also after its reference was exchanged."""
    together, most = [0], [0]

    def predict(inputs: Any) -> Any:
        together[0] += 1
        most[0] = max(most[0], together[0])
        time.sleep(0.01)
        together[0] -= 1
        return np.zeros((len(inputs["pixels"]), 3), np.float32)

    version = replace(candidate(versions[0]), predict=predict)
    both = [version, replace(version, loaded=0.0)]
    inputs = {"pixels": np.zeros((1, 8, 8), np.uint8)}
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: both[number % 2].probabilities(inputs), range(20)))
    assert most == [1]

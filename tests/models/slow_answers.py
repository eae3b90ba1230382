"""A model that takes 3 s for batches of seven, and none for others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from catwalk.trainable import Plan
from tests.models.shapes.model import Settings, Shapes

SECONDS = 3.0


class SlowAnswers(Shapes):
    """See :class:`catwalk.trainable.Trainable`."""

    reference = "tests.models.slow_answers:SLOW"

    def plan(self, config: Settings) -> Plan:
        return Plan("slow-answers", config.descent.rounds, synthetic=True, checkpoint_seconds=0.0)

    def predictor(self, config: Settings, model: bytes) -> Callable[[Any], Any]:
        quick = super().predictor(config, model)

        def predict(inputs: Any) -> Any:
            if len(inputs["pixels"]) == 7:
                time.sleep(SECONDS)
            return quick(inputs)

        return predict


SLOW = SlowAnswers()

"""A model that prints with every answer, more in total than a pipe holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from catwalk.trainable import Plan
from tests.models.shapes.model import Settings, Shapes


class Chatty(Shapes):
    """See :class:`catwalk.trainable.Trainable`."""

    reference = "tests.models.chatty:CHATTY"

    def plan(self, config: Settings) -> Plan:
        return Plan("chatty", config.descent.rounds, synthetic=True, checkpoint_seconds=0.0)

    def predictor(self, config: Settings, model: bytes) -> Callable[[Any], Any]:
        quiet = super().predictor(config, model)

        def predict(inputs: Any) -> Any:
            print("a warning " * 100, flush=True)
            return quiet(inputs)

        return predict


CHATTY = Chatty()

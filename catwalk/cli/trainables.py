"""The Trainable that a command works with: the one in its arguments, else that of `CATWALK_TRAINABLE`."""

from __future__ import annotations

import os

from catwalk.errors import ConfigError
from catwalk.ledger.model_names import spelling
from catwalk.trainable import Trainable, find

VARIABLE = "CATWALK_TRAINABLE"


def default() -> Trainable | None:
    """The Trainable of `CATWALK_TRAINABLE`; None if that is not set.

    Raises:
        ConfigError: It doesn't exist.
    """
    reference = os.environ.get(VARIABLE, "").strip()
    return find(reference) if reference else None


def chosen(reference: str) -> Trainable:
    """The Trainable of a reference, or if that is empty, of `CATWALK_TRAINABLE`.

    Raises:
        ConfigError: There is none.
    """
    found = find(reference) if reference else default()
    if found is None:
        raise ConfigError(
            f"name what to train: `catwalk run package.module:NAME`, such as models.churn:CHURN, or set {VARIABLE} to "
            "it; the stack of a checkout sets it by itself"
        )
    return found


def default_model() -> str:
    """Name of the model that the Trainable of `CATWALK_TRAINABLE` makes by default; empty if there is none."""
    found = default()
    return spelling(found.plan(found.config()).model) if found else ""

"""Which Trainable a command works with: the one that is named, else that of `CATWALK_TRAINABLE`."""

from __future__ import annotations

import os

from catwalk.errors import ConfigError
from catwalk.ledger.model_names import spelling
from catwalk.trainable import Trainable, find

VARIABLE = "CATWALK_TRAINABLE"


def default() -> Trainable | None:
    """That of the environment; None where it names none.

    Raises:
        ConfigError: it names one that is not there.
    """
    reference = os.environ.get(VARIABLE, "").strip()
    return find(reference) if reference else None


def chosen(reference: str) -> Trainable:
    """The Trainable of a reference, or if that is empty, of the environment.

    Raises:
        ConfigError: there is none.
    """
    found = find(reference) if reference else default()
    if found is None:
        raise ConfigError(
            f"say what to train: `catwalk run package.module:NAME`, such as models.churn:CHURN, or set {VARIABLE} to "
            "that; a checkout's stack sets it by itself"
        )
    return found


def default_model() -> str:
    """Name of the model that the environment's Trainable makes when nobody says otherwise; empty: there is none."""
    found = default()
    return spelling(found.plan(found.config()).model) if found else ""

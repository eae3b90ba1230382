"""Errors that a user reads: one line that says what is wrong and what to do."""

from __future__ import annotations

from typing import Any


class CatwalkError(Exception):
    """Something a user can mend. ``str(error)`` is one line; the command line prints it and exits with 1."""


class TransientError(CatwalkError):
    """What may pass by itself. Airflow tries these again; every other :class:`CatwalkError` is final."""


class ConfigError(CatwalkError, ValueError):
    """A setting has an absurd value. Trying again cannot help."""


class InputError(CatwalkError, ValueError):
    """An argument has the wrong type, shape or values. Its line names the argument, what was expected and what came."""


class DatasetError(CatwalkError):
    """The dataset is missing, truncated or corrupt, or may not be read. Trying again cannot help."""


class DownloadError(DatasetError, TransientError):
    """The dataset is not here, and the network or the mirror did not give it this time."""


class RunConflictError(CatwalkError):
    """A run was started again with other code or other parameters: a run is one configuration."""


class ArtifactError(CatwalkError):
    """An artifact of a run is missing or not the one that was recorded. It is never loaded."""


class NonFiniteLossError(CatwalkError):
    """The loss became NaN or infinite. Trying again gives the same; change the recipe."""


class OutOfMemoryError(CatwalkError):
    """The device has too little memory for this recipe. Trying again gives the same; change the recipe."""


class NoTrialError(CatwalkError):
    """No trial of a sweep has finished, so there is none to choose. Trying again gives the same."""


class SupersededError(CatwalkError):
    """A newer attempt of the same stage has taken over this run; this one stops without writing."""


class CancelledError(TransientError):
    """The stage was told to stop (SIGTERM) and has saved what it had."""


class StoreError(CatwalkError):
    """S3 refused or failed a request."""


class StoreUnavailableError(StoreError, TransientError):
    """S3 did not answer, or answered with a fault of its own. Trying again later may help."""


class NotFoundError(StoreError):
    """No object has this key."""


class DamagedError(StoreError):
    """An object is there, but is not the record that its key promises. It concerns its own run, and no other."""


class PreconditionFailedError(StoreError):
    """The object changed, or was created, since it was last read: somebody else won."""


def shown(given: Any, longest: int = 60) -> str:
    """A value for a complaint, in one line; of one that can't be written, its type."""
    try:
        return " ".join(repr(given).split())[:longest]
    except Exception:  # a whole number of 5,000 digits, a list in thousands of lists, somebody's own class
        return f"<{type(given).__name__} that can't be written as text>"

"""Errors for users: one line that says what is wrong and what to do."""

from __future__ import annotations

from typing import Any


class CatwalkError(Exception):
    """An error that a user can fix. ``str(error)`` is one line; the command line prints it and exits with 1."""


class TransientError(CatwalkError):
    """An error that may pass by itself. Airflow retries it; every other :class:`CatwalkError` is final."""


class ConfigError(CatwalkError, ValueError):
    """A setting has an invalid value. A retry can't help."""


class InputError(CatwalkError, ValueError):
    """An argument has the wrong type, shape or values. The message names the argument, and what was expected and
    passed.
    """


class DatasetError(CatwalkError):
    """The dataset is missing, truncated, corrupt or unreadable. A retry can't help."""


class DownloadError(DatasetError, TransientError):
    """The dataset is not on this machine, and the download failed this time."""


class RunConflictError(CatwalkError):
    """A run was restarted with other code or parameters: a run has one configuration."""


class ArtifactError(CatwalkError):
    """An artifact of a run is missing, or differs from the recorded one. It is never loaded."""


class NonFiniteLossError(CatwalkError):
    """The loss became NaN or infinite. A retry gives the same result; change the recipe."""


class OutOfMemoryError(CatwalkError):
    """The device has too little memory for this recipe. A retry gives the same result; change the recipe."""


class NoTrialError(CatwalkError):
    """No trial of a sweep has finished, so there is none to choose. A retry gives the same result."""


class SupersededError(CatwalkError):
    """A newer attempt of the same stage has taken over this run; this one stops without writing."""


class CancelledError(TransientError):
    """The stage received SIGTERM, and stopped after it saved its state."""


class StoreError(CatwalkError):
    """The store refused a request, or the request failed."""


class StoreUnavailableError(StoreError, TransientError):
    """The store did not answer, or answered with a server error. A later retry may help."""


class NotFoundError(StoreError):
    """No object has this key."""


class DamagedError(StoreError):
    """An object exists, but is not a valid record of its kind. It affects its own run only."""


class PreconditionFailedError(StoreError):
    """The object was changed or created since it was last read: another writer won."""


def shown(given: Any, longest: int = 60) -> str:
    """A value for an error message, in one line, or its type if the value has no text."""
    try:
        return " ".join(repr(given).split())[:longest]
    except Exception:  # an integer of 5,000 digits, a list nested in thousands of lists, a user's own class
        return f"<{type(given).__name__} that can't be written as text>"

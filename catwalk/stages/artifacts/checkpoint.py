"""The state of a training between two epochs: its history, and the model's own opaque state.

It is a safetensors file, whose header names the attempt that wrote it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from catwalk.codec import from_json, to_json
from catwalk.errors import ArtifactError
from catwalk.ledger.records.training import EpochRecord


@dataclass(frozen=True)
class Progress:
    """A checkpoint's description of itself."""

    attempt: int
    config: str
    """Digest of the run's configuration."""
    seed: int
    reproducible: bool
    fingerprint: dict[str, str]
    """What else the bits depend on (see :class:`catwalk.trainable.Fit`)."""
    epochs: list[EpochRecord] = field(default_factory=list)


def write(progress: Progress, state: bytes) -> bytes:
    """A checkpoint as bytes."""
    return save({"state": np.frombuffer(state, dtype=np.uint8)}, {"progress": to_json(progress).decode()})


def read_progress(body: bytes) -> Progress:
    """
    Raises:
        ArtifactError: This is not a checkpoint.
    """
    try:
        length = int.from_bytes(body[:8], "little")
        header = json.loads(body[8 : 8 + length])["__metadata__"]
        return from_json(Progress, header["progress"].encode())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError("the checkpoint is damaged: it has no safetensors header") from error


def read_state(body: bytes) -> bytes:
    """
    Raises:
        ArtifactError: This is not a checkpoint.
    """
    try:
        return load(body)["state"].tobytes()
    except (SafetensorError, KeyError) as error:
        raise ArtifactError(f"the checkpoint is damaged: {error}") from error

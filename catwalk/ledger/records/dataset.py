"""The data that a run was trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from catwalk.ledger.records.values import check_classes, completed, old_statistics


@dataclass(frozen=True)
class SplitStatistics:
    """The content of one split of a dataset."""

    examples: int
    class_counts: list[int]
    """Examples of each class, in label order."""


@dataclass(frozen=True)
class DatasetRecord:
    """``runs/<run_id>/dataset.json`` and ``datasets/<sha256>/manifest.json``."""

    sha256: str
    """Content hash of the three splits together."""
    source: str
    synthetic: bool
    splits: dict[str, SplitStatistics]
    """The statistics by split: train, validation, test."""
    files: dict[str, str]
    """sha256 of each split's safetensors file."""
    classes: list[str] = field(default_factory=list)
    """As in run.json."""
    statistics: dict[str, float] = field(default_factory=dict)
    """Name → value over the training examples: figures that a model standardises by, or that shift when the data does.
    """
    as_of: str = ""
    """Date or time in ISO 8601 up to which the data was known; later is newer. Empty if unknown."""
    digests_sha256: str = ""
    """sha256 of ``datasets/<sha256>/train.digests`` (see :mod:`catwalk.ledger.examples`); empty if an older version
    stored it.
    """

    def __post_init__(self) -> None:
        check_classes(self.classes, *(split.class_counts for split in self.splits.values()))

    @staticmethod
    def upgraded(values: dict[str, Any]) -> dict[str, Any]:
        """JSON values of any version, with the statistics by name."""
        return completed(values, statistics=old_statistics)


def moment(as_of: str) -> datetime:
    """A time in ISO 8601, in UTC if it has no zone.

    Raises:
        ValueError: The text is not a time.
    """
    found = datetime.fromisoformat(as_of)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

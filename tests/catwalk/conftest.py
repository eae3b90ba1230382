"""Records in memory, and small runs on a real S3."""

from tests.support.records import (
    evaluation,
    make_attempt,
    make_epoch,
    make_regression,
    make_run,
    memory_store,
    run_record,
)
from tests.support.runs import ledger, new_run, stand_in, undisturbed

__all__ = [
    "evaluation",
    "ledger",
    "make_attempt",
    "make_epoch",
    "make_regression",
    "make_run",
    "memory_store",
    "new_run",
    "run_record",
    "stand_in",
    "undisturbed",
]

"""Records in memory."""

from tests.support.records import evaluation, make_attempt, make_epoch, make_run, memory_store, run_record

__all__ = ["evaluation", "make_attempt", "make_epoch", "make_run", "memory_store", "run_record"]

"""Small runs on a real S3."""

from tests.support.runs import ledger, new_run, stand_in, undisturbed

__all__ = ["ledger", "new_run", "stand_in", "undisturbed"]

"""From the ledger to Prometheus: the points of a run, the room that they take, and sending them again."""

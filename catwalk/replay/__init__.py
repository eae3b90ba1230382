"""From the ledger to Prometheus: the points of a run, the series that they need, and resending them."""

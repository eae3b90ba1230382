"""The exporter: serves the run ledger to Prometheus, and as pages to people."""

"""The exporter: serves the run ledger to Prometheus as metrics, and to people as pages."""

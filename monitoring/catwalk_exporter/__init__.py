"""The exporter: serves the run ledger in S3 to Prometheus, and as pages to people."""

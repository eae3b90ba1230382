"""The run ledger: what is recorded of each run, and what is in service."""

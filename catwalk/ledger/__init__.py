"""The run ledger: the records of each run, and the versions in service."""

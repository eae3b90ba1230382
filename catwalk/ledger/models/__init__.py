"""What the ledger holds of a model: its stored files, the version in service, and what is known beyond its runs."""

"""The ledger's data on a model: its stored files, the version in service, and facts beyond its runs."""

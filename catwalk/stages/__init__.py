"""The stages of a run: ingest, train, test, decide, publish."""

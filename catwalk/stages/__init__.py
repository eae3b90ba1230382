"""The stages of a run (ingest, train, test, decide, publish), and the pipeline that runs them in order."""

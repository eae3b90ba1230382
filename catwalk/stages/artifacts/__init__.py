"""Artifacts that stages store beside records: the dataset, checkpoints, reports."""

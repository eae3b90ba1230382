"""Retraining on request: an alert requests a run, once per episode, within a budget."""

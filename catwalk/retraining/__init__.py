"""Retraining on request: an alert asks for a run, once an episode, within a budget."""

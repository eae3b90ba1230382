"""Sends the points of a run again, from its ledger."""

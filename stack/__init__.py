"""Runs all parts on one machine without containers: pinned tools, generated secrets, one supervisor."""

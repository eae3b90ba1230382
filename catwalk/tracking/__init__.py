"""Runs of any model in a few lines: ``with catwalk.run("churn", catwalk.Binary()) as run`` writes the same records as
the stages.
"""

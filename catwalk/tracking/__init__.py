"""Any model in a few lines: ``with catwalk.run("churn", catwalk.Binary()) as run`` writes the ledger that the stages
write."""

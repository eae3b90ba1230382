"""Arguments of a caller: checked, and converted to what the ledger stores."""

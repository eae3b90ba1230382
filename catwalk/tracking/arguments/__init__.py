"""What a caller says of a run: checked, and made into what the ledger stores."""

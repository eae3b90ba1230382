"""The log of a service: its predictions by id, and the labels that come later, on the way to the ledger."""

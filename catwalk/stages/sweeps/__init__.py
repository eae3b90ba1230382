"""A sweep: which trials it makes, and which of them goes on to the test split."""

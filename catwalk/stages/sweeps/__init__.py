"""A sweep: the trials that it runs, and the one that is tested."""

"""The parts of a native stack: how each is started, where it listens, and how it shows that it works."""

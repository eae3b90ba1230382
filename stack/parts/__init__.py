"""The parts of a native stack: the command, the ports and the health check of each."""

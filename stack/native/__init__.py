"""The native stack: its parts, the supervisor that runs them, and the code that starts and stops everything."""

"""The native stack: its parts, the supervisor that runs them, and what starts and stops all of it."""

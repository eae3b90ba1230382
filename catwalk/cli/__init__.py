"""The catwalk command."""

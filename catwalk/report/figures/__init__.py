"""The figures of a run, drawn by matplotlib, and their common look. Nothing here depends on HTML."""

"""Compares runs side by side: their differences, as figures and as a page."""

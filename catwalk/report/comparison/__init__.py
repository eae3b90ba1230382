"""Runs side by side: what sets them apart, drawn, and as a page."""

"""Delivery: each channel in a thread of its own, and what carries a message there."""

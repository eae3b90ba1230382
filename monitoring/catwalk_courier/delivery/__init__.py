"""Delivery: a thread per channel, and the transports of messages."""

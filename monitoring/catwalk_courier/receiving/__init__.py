"""Receiving: what Alertmanager posts, and what the courier answers over HTTP."""

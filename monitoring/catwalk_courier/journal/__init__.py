"""The journal: every notification, and what is still to be delivered, on disk before Alertmanager gets its answer."""

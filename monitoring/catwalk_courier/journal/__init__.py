"""The journal: every notification and every pending delivery, on disk before Alertmanager gets its answer."""

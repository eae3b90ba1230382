"""The service baseline: a version's reference, made of its own days in service as Prometheus has recorded them.

Traffic is seldom balanced as held-out examples are, so only a baseline can tell small shifts from usual ones: it has
the service's own shares of each bin, and by how much its days differ from each other.
"""

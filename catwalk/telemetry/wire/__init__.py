"""A line on the wire: where to, in which characters, in how large a datagram."""

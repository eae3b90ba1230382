"""A line on the wire: its address, its characters, and the size of its datagram."""

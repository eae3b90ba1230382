"""Clients of the servers: addresses, ports, passwords, proxies in one place."""

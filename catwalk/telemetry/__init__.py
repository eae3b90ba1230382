"""A datagram's way: from the catalogue of metrics to the StatsD line that statsd_exporter maps."""

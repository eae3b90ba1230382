"""The path of a metric: from the catalogue to the StatsD line that statsd_exporter maps."""

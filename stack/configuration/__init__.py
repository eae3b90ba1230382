"""The configuration of a stack's processes: secrets, environment variables, the settings of Grafana."""

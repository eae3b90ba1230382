"""What the processes of a stack are given: secrets, environment variables, the settings of Grafana."""

"""A process's environment: variables, env files, URLs and proxies, the checkout, the schedule, a stack's parts."""

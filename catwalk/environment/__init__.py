"""What surrounds a process: variables, files of them, URLs and proxies, the checkout, the schedule, a stack's parts."""

"""What surrounds a process: variables, files of them, URLs, proxies, the checkout, the schedule, the parts of a stack."""

"""Labels that arrive later: stores them, joins them to a service's log, and computes its model's metrics from them."""

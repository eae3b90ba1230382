"""What a model is asked, a module a kind: its metrics, and what the gate and the reports need of its answers."""

"""What is computed from a model's answers, whoever asks: the gate that decides, or the report that shows."""

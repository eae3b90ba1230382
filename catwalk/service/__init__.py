"""A model in service: what it is asked and what it answers, counted beside what both looked like at its test."""

"""Two models on the same examples: which these are, how the models differ, and whether by more than chance."""

"""Compares two models on the same examples: which examples these are, how the models differ, and whether by more than
chance.
"""

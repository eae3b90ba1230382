"""Models of somebody else's, written as their authors would."""

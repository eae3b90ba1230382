"""Models of users, written as their authors would."""

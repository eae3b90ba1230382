"""The frame of every stage: opening the run, starting and ending an attempt, and refusing other code than the run's."""

"""Around every stage: the run is opened, an attempt begins and ends, and only the code that opened a run may go on."""

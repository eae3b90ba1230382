"""Labels that come later: how they are taken, joined to the log of a service, and what they say of its model."""

"""What matplotlib draws of a run, and how every figure looks. Nothing here knows of HTML."""

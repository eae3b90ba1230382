"""What the small web servers share."""

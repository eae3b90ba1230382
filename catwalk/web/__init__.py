"""Code that web pages, reports and the small servers share."""
